from django.urls import path

from panel.servers import views

app_name = "servers"
urlpatterns = [
    path("servers/", views.server_list, name="server_list"),
    path("servers/add/", views.server_add, name="server_add"),
    path("servers/<slug:slug>/edit/", views.server_edit, name="server_edit"),
    path("servers/<slug:slug>/check/", views.server_check, name="server_check"),
    path("servers/<slug:slug>/remove/", views.server_remove, name="server_remove"),
]

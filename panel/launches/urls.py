from django.urls import path

from panel.launches import views

app_name = "launches"
urlpatterns = [
    path("servers/<slug:slug>/dags/<str:dag_id>/launch/", views.launch_form, name="launch_form"),
    path("launches/", views.launch_list, name="launch_list"),
    path("launches/<uuid:launch_id>/", views.launch_detail, name="launch_detail"),
    path("launches/<uuid:launch_id>/cancel/", views.launch_cancel, name="launch_cancel"),
]

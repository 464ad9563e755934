from django.urls import path

from panel.launches import views, views_approvals, views_guard_rails, views_history, views_stops

app_name = "launches"
urlpatterns = [
    path("servers/<slug:slug>/dags/<str:dag_id>/launch/", views.launch_form, name="launch_form"),
    path("launches/", views_history.launch_list, name="launch_list"),
    path("launches/<uuid:launch_id>/", views.launch_detail, name="launch_detail"),
    path("launches/<uuid:launch_id>/cancel/", views.launch_cancel, name="launch_cancel"),
    path("launches/<uuid:launch_id>/stop/", views_stops.launch_stop, name="launch_stop"),
    path("launches/<uuid:launch_id>/decide/", views_approvals.launch_decide, name="launch_decide"),
    path("servers/<slug:slug>/dags/<str:dag_id>/guard-rails/", views_guard_rails.guard_rails, name="guard_rails"),
    path(
        "servers/<slug:slug>/dags/<str:dag_id>/guard-rails/set/",
        views_guard_rails.guard_rails_set,
        name="guard_rails_set",
    ),
    path("servers/<slug:slug>/dags/<str:dag_id>/freezes/", views_guard_rails.freeze_add, name="freeze_add"),
    path(
        "servers/<slug:slug>/dags/<str:dag_id>/freezes/<int:freeze_id>/end/",
        views_guard_rails.freeze_end,
        name="freeze_end",
    ),
]

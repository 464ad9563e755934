from django.urls import path

from panel.launches import views, views_approvals, views_backfills, views_guard_rails

app_name = "launches"
urlpatterns = [
    path("servers/<slug:slug>/dags/<str:dag_id>/launch/", views.launch_form, name="launch_form"),
    path("launches/", views.launch_list, name="launch_list"),
    path("launches/<uuid:launch_id>/", views.launch_detail, name="launch_detail"),
    path("launches/<uuid:launch_id>/cancel/", views.launch_cancel, name="launch_cancel"),
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
    path("servers/<slug:slug>/dags/<str:dag_id>/backfill/", views_backfills.backfill_form, name="backfill_form"),
    path("servers/<slug:slug>/dags/<str:dag_id>/backfills/", views_backfills.backfill_list, name="backfill_list"),
    path("backfills/<uuid:backfill_id>/", views_backfills.backfill_detail, name="backfill_detail"),
    path(
        "backfills/<uuid:backfill_id>/pause/", views_backfills.backfill_steer, {"verb": "pause"}, name="backfill_pause"
    ),
    path(
        "backfills/<uuid:backfill_id>/resume/",
        views_backfills.backfill_steer,
        {"verb": "resume"},
        name="backfill_resume",
    ),
    path(
        "backfills/<uuid:backfill_id>/cancel/",
        views_backfills.backfill_steer,
        {"verb": "cancel"},
        name="backfill_cancel",
    ),
]

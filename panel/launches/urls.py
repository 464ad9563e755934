from django.urls import path

from panel.launches import (
    views,
    views_approvals,
    views_backfills,
    views_dag_forms,
    views_guard_rails,
    views_history,
    views_launch_form,
    views_presets,
    views_stops,
)

app_name = "launches"
urlpatterns = [
    path("servers/<slug:slug>/dags/<str:dag_id>/launch/", views_launch_form.launch_form, name="launch_form"),
    path(
        "servers/<slug:slug>/dags/<str:dag_id>/launch/options/", views_launch_form.launch_options, name="launch_options"
    ),
    path("launch-forms/", views_dag_forms.form_list, name="form_list"),
    path("servers/<slug:slug>/dags/<str:dag_id>/launch-forms/", views_dag_forms.dag_forms, name="dag_forms"),
    path("servers/<slug:slug>/dags/<str:dag_id>/launch-forms/add/", views_dag_forms.form_add, name="form_add"),
    path("servers/<slug:slug>/dags/<str:dag_id>/launch-forms/only/", views_dag_forms.forms_only, name="forms_only"),
    path(
        "servers/<slug:slug>/dags/<str:dag_id>/launch-forms/<slug:form_slug>/",
        views_dag_forms.form_edit,
        name="form_edit",
    ),
    path(
        "servers/<slug:slug>/dags/<str:dag_id>/launch-forms/<slug:form_slug>/delete/",
        views_dag_forms.form_delete,
        name="form_delete",
    ),
    path("presets/<int:preset_id>/", views_presets.preset_detail, name="preset_detail"),
    path("presets/<int:preset_id>/rename/", views_presets.preset_rename, name="preset_rename"),
    path("presets/<int:preset_id>/delete/", views_presets.preset_delete, name="preset_delete"),
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

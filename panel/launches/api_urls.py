from django.urls import path

from panel.launches import api, api_backfills, api_forms, api_guard_rails, api_stops

urlpatterns = [
    path("servers/<slug:slug>/dags/<str:dag_id>/form/", api.LaunchForm.as_view(), name="launch-form"),
    path("servers/<slug:slug>/dags/<str:dag_id>/launches/", api.DagLaunches.as_view(), name="dag-launches"),
    path("launch-forms/", api_forms.FormList.as_view(), name="form-list"),
    path("servers/<slug:slug>/dags/<str:dag_id>/launch-forms/", api_forms.DagFormList.as_view(), name="dag-form-list"),
    path(
        "servers/<slug:slug>/dags/<str:dag_id>/launch-forms/<slug:form_slug>/",
        api_forms.DagFormDetail.as_view(),
        name="dag-form-detail",
    ),
    path(
        "servers/<slug:slug>/dags/<str:dag_id>/launch-forms/<slug:form_slug>/options/",
        api_forms.DagFormOptions.as_view(),
        name="dag-form-options",
    ),
    path("servers/<slug:slug>/dags/<str:dag_id>/only-forms/", api_forms.DagOnlyForms.as_view(), name="dag-only-forms"),
    path("servers/<slug:slug>/dags/<str:dag_id>/presets/", api_forms.DagPresetList.as_view(), name="preset-list"),
    path("presets/<int:preset_id>/", api_forms.PresetDetail.as_view(), name="preset-detail"),
    path("launches/", api.LaunchList.as_view(), name="launch-list"),
    path("launches/export/", api.LaunchExport.as_view(), name="launch-export"),
    path("launches/<uuid:launch_id>/", api.LaunchDetail.as_view(), name="launch-detail"),
    path("launches/<uuid:launch_id>/approve/", api.LaunchApprove.as_view(), name="launch-approve"),
    path("launches/<uuid:launch_id>/reject/", api.LaunchReject.as_view(), name="launch-reject"),
    path("launches/<uuid:launch_id>/cancel/", api.LaunchCancel.as_view(), name="launch-cancel"),
    path("launches/<uuid:launch_id>/stop/", api_stops.LaunchStopRequest.as_view(), name="launch-stop"),
    path(
        "servers/<slug:slug>/dags/<str:dag_id>/guard-rails/",
        api_guard_rails.DagGuardRails.as_view(),
        name="guard-rails",
    ),
    path(
        "servers/<slug:slug>/dags/<str:dag_id>/backfills/dry-run/",
        api_backfills.BackfillDryRun.as_view(),
        name="backfill-dry-run",
    ),
    path(
        "servers/<slug:slug>/dags/<str:dag_id>/backfills/", api_backfills.DagBackfills.as_view(), name="dag-backfills"
    ),
    path("backfills/", api_backfills.BackfillList.as_view(), name="backfill-list"),
    path("backfills/<uuid:backfill_id>/", api_backfills.BackfillDetail.as_view(), name="backfill-detail"),
    path("backfills/<uuid:backfill_id>/runs/", api_backfills.BackfillRuns.as_view(), name="backfill-runs"),
    path("backfills/<uuid:backfill_id>/pause/", api_backfills.BackfillPause.as_view(), name="backfill-pause"),
    path("backfills/<uuid:backfill_id>/resume/", api_backfills.BackfillResume.as_view(), name="backfill-resume"),
    path("backfills/<uuid:backfill_id>/cancel/", api_backfills.BackfillCancel.as_view(), name="backfill-cancel"),
    path("servers/<slug:slug>/freezes/", api_guard_rails.FreezeList.as_view(), name="freeze-list"),
    path("servers/<slug:slug>/freezes/<int:freeze_id>/", api_guard_rails.FreezeDetail.as_view(), name="freeze-detail"),
]

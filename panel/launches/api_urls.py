from django.urls import path

from panel.launches import api

urlpatterns = [
    path("servers/<slug:slug>/dags/<str:dag_id>/form/", api.LaunchForm.as_view(), name="launch-form"),
    path("servers/<slug:slug>/dags/<str:dag_id>/launches/", api.DagLaunches.as_view(), name="dag-launches"),
    path("launches/", api.LaunchList.as_view(), name="launch-list"),
    path("launches/<uuid:launch_id>/", api.LaunchDetail.as_view(), name="launch-detail"),
    path("launches/<uuid:launch_id>/cancel/", api.LaunchCancel.as_view(), name="launch-cancel"),
]

from django.urls import path

import panel.ui.converters  # noqa: F401 - registers airflow_id
from panel.retries import views

app_name = "retries"
urlpatterns = [
    path("mapped-tasks/<uuid:mapped_task_id>/retry/", views.retry_panel, name="retry_panel"),
    path("servers/<slug:slug>/dags/<airflow_id:dag_id>/retry/", views.dag_retry, name="dag_retry"),
    path("retry/estimate/", views.retry_estimate, name="retry_estimate"),
    path("retry/", views.retry_several, name="retry_several"),
    path("retry-jobs/", views.job_list, name="job_list"),
    path("retry-jobs/help/", views.job_help, name="job_help"),
    path("retry-jobs/<uuid:job_id>/", views.job_detail, name="job_detail"),
    path("retry-jobs/<uuid:job_id>/pause/", views.job_pause, name="job_pause"),
    path("retry-jobs/<uuid:job_id>/resume/", views.job_resume, name="job_resume"),
    path("retry-jobs/<uuid:job_id>/mail/", views.job_mail, name="job_mail"),
    path("retry-jobs/<uuid:job_id>/start/", views.job_start, name="job_start"),
    path("retry-jobs/<uuid:job_id>/cancel/", views.job_cancel, name="job_cancel"),
]

from django.urls import path

from panel.retries import api

urlpatterns = [
    path("retry-jobs/preview/", api.RetryPreview.as_view(), name="retry-preview"),
    path("retry-jobs/", api.JobList.as_view(), name="retry-jobs"),
    path("retry-jobs/<uuid:job_id>/", api.JobDetail.as_view(), name="retry-job"),
    path("retry-jobs/<uuid:job_id>/items/", api.JobItems.as_view(), name="retry-job-items"),
    path("retry-jobs/<uuid:job_id>/report/", api.JobReport.as_view(), name="retry-job-report"),
    path("retry-jobs/<uuid:job_id>/export/", api.JobExport.as_view(), name="retry-job-export"),
    path("retry-jobs/<uuid:job_id>/pause/", api.JobPause.as_view(), name="retry-job-pause"),
    path("retry-jobs/<uuid:job_id>/resume/", api.JobResume.as_view(), name="retry-job-resume"),
    path("retry-jobs/<uuid:job_id>/start/", api.JobStart.as_view(), name="retry-job-start"),
    path("retry-jobs/<uuid:job_id>/cancel/", api.JobCancel.as_view(), name="retry-job-cancel"),
]

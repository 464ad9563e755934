from django.urls import path

from panel.access.api import AuditList

urlpatterns = [path("audit/", AuditList.as_view(), name="audit_list")]

from django.urls import path

from panel.mirror import api, api_metrics, api_outcome_rules

_SERVER = "servers/<slug:slug>"
_DAG = f"{_SERVER}/dags/<str:dag_id>"
_TASK = "mapped-tasks/<uuid:mapped_task_id>"

urlpatterns = [
    path("servers/<slug:slug>/dags/", api.DagList.as_view(), name="dag_list"),
    path(f"{_DAG}/runs/", api.RunList.as_view(), name="run_list"),
    path(f"{_DAG}/runs/<str:run_id>/", api.RunDetail.as_view(), name="run_detail"),
    path("mapped-tasks/", api.MappedTaskList.as_view(), name="mapped_task_list"),
    path("mapped-tasks/sync/", api.Sync.as_view(), name="mapped_task_sync"),
    path(f"{_TASK}/", api.MappedTaskDetail.as_view(), name="mapped_task_detail"),
    path(f"{_TASK}/instances/", api.InstanceList.as_view(), name="instance_list"),
    path(f"{_TASK}/instances/<int:map_index>/", api.InstanceDetail.as_view(), name="instance_detail"),
    path(f"{_TASK}/instances/<int:map_index>/log/", api.InstanceLog.as_view(), name="instance_log"),
    path(f"{_TASK}/instances/<int:map_index>/history/", api_metrics.InstanceHistory.as_view(), name="instance_history"),
    path(f"{_TASK}/metrics/", api_metrics.TaskMetrics.as_view(), name="task_metrics"),
    path(f"{_TASK}/patterns/", api_metrics.TaskPatterns.as_view(), name="task_patterns"),
    path(f"{_TASK}/error-groups/", api.ErrorGroupList.as_view(), name="error_group_list"),
    path(f"{_TASK}/export/", api.Export.as_view(), name="instance_export"),
    path(f"{_TASK}/outcome-rule/", api_outcome_rules.TaskOutcomeRule.as_view(), name="task_outcome_rule"),
    path(f"{_TASK}/outcome-rule/try-out/", api_outcome_rules.OutcomeRuleTryOut.as_view(), name="outcome_rule_try_out"),
    path("outcome-rules/", api_outcome_rules.OutcomeRuleList.as_view(), name="outcome_rule_list"),
    *(
        path(f"{place}/outcome-rule/", api_outcome_rules.OutcomeRuleDetail.as_view(), name=f"{scope}_outcome_rule")
        for scope, place in (("server", _SERVER), ("dag", _DAG), ("dag_task", f"{_DAG}/tasks/<str:task_id>"))
    ),
]

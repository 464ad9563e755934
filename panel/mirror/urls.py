from django.urls import path

import panel.ui.converters  # noqa: F401 - registers airflow_id
from panel.mirror import (
    views,
    views_index_map,
    views_instance,
    views_mapped_task,
    views_metrics,
    views_outcome_rule,
    views_read_requests,
)

app_name = "mirror"

_DAG = "servers/<slug:slug>/dags/<airflow_id:dag_id>/"
_RUN = f"{_DAG}runs/<airflow_id:run_id>/"
_TASK = f"{_RUN}tasks/<airflow_id:task_id>/"
_INSTANCE = f"{_TASK}<int:map_index>/"

urlpatterns = [
    path("", views.home, name="home"),
    path("servers/<slug:slug>/dags/", views.dag_list, name="dag_list"),
    path(_DAG, views.dag_detail, name="dag_detail"),
    path(_RUN, views.run_detail, name="run_detail"),
    path(_TASK, views_mapped_task.mapped_task_detail, name="mapped_task_detail"),
    path(f"{_TASK}indices/", views_mapped_task.mapped_task_indices, name="mapped_task_indices"),
    path(f"{_TASK}index-map/", views_index_map.index_map, name="index_map"),
    path(f"{_TASK}index-map/cells/", views_index_map.index_map_cells, name="index_map_cells"),
    path(f"{_TASK}index-map/table/", views_index_map.index_map_table, name="index_map_table"),
    path(f"{_TASK}metrics/", views_metrics.task_metrics, name="task_metrics"),
    path(f"{_TASK}patterns/", views_metrics.task_patterns, name="task_patterns"),
    path(f"{_TASK}result-fields/", views_metrics.task_result_fields, name="task_result_fields"),
    path(f"{_TASK}outcome-rule/", views_outcome_rule.outcome_rule, name="outcome_rule"),
    path(f"{_TASK}outcome-rule/save/", views_outcome_rule.outcome_rule_save, name="outcome_rule_save"),
    path(f"{_TASK}outcome-rule/remove/", views_outcome_rule.outcome_rule_remove, name="outcome_rule_remove"),
    path(f"{_TASK}errors/read/", views_read_requests.read_errors, name="read_errors"),
    path(f"{_TASK}results/read/", views_read_requests.read_external_results, name="read_external_results"),
    path(_INSTANCE, views_instance.instance_detail, name="instance_detail"),
    path(f"{_INSTANCE}history/", views_metrics.task_history, name="task_history"),
    path(f"{_INSTANCE}tries/", views_instance.instance_tries, name="instance_tries"),
    path(f"{_INSTANCE}log/", views_instance.instance_log, name="instance_log"),
    path(f"{_INSTANCE}log/text/", views_instance.instance_log_text, name="instance_log_text"),
    path(f"{_INSTANCE}result/", views_instance.instance_result, name="instance_result"),
    path(f"{_INSTANCE}input/", views_instance.instance_input, name="instance_input"),
]

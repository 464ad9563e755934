"""`make demo`: a real Airflow, the panel in front of it, and one run of each example Dag."""

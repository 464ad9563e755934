"""What the example Dags do, without Airflow: plain functions, so that tests run them anywhere."""

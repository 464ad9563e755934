from django.urls import URLPattern, URLResolver

app_name = "retries"
urlpatterns: list[URLPattern | URLResolver] = []

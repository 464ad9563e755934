from django.urls import URLPattern, URLResolver

app_name = "launches"
urlpatterns: list[URLPattern | URLResolver] = []

from django.urls import path

from panel.servers.api import ServerList

urlpatterns = [path("servers/", ServerList.as_view(), name="server_list")]

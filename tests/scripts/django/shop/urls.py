"""Paths of the shop."""

from django.contrib.staticfiles.views import serve
from django.urls import path

from . import views

urlpatterns = [
    path("item/<int:number>", views.item, name="item"),
    path("page/<name>", views.page),
    path("count", views.count),
    path("form", views.form),
    path("upload", views.upload),
    path("go", views.go),
    path("broken", views.broken),
    path("static/<path:path>", serve, {"insecure": True}),
]
handler404 = views.not_found

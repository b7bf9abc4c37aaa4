"""Views of the shop."""

import datetime

from django import forms
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt


class Name(forms.Form):
    name = forms.CharField(max_length=5)


def item(request, number):
    return JsonResponse({"number": number, "path": request.path})


def page(request, name):
    noon = timezone.localtime(datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.timezone.utc))
    return render(request, "shop/page.html", {"name": name, "noon": noon})


def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))


def form(request):
    name = Name(request.POST or None)
    if request.method == "POST" and name.is_valid():
        return JsonResponse(name.cleaned_data)
    return render(request, "shop/form.html", {"form": name}, status=400 if request.POST else 200)


@csrf_exempt
def upload(request):
    file = request.FILES["file"]
    return JsonResponse({"name": file.name, "size": len(file.read())})


def go(request):
    return redirect("item", number=3)


def broken(request):
    return {}["nothing"]


def not_found(request, exception):
    return HttpResponse(f"no {request.path_info} here", status=404)

"""
Unspool within Django, in one file.

Under ASGI: `uvicorn examples.django_app:asgi`; under WSGI any server that is given
`examples.django_app:wsgi`.
"""

import os
from pathlib import Path

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "for trying only"),
    UNSPOOL={"data_dir": Path(os.environ.get("UNSPOOL_DATA_DIR", ".data"))},
)
django.setup()

# Django's settings must be there first.
from unspool.django import afollow, astream, follow, stream  # noqa: E402


async def awrite(request):
    return await astream(request, "chat", {"prompt": request.GET["prompt"]}, "plain")


def write(request):
    return stream(request, "chat", {"prompt": request.GET["prompt"]}, "plain")


urlpatterns = [
    # /api/v1/projects/ with stages, streams and history, and /v1/runs
    path("", include("unspool.django")),
    path("awrite", awrite),
    path("aruns/<str:run_id>/events", afollow),
    path("write", write),
    path("runs/<str:run_id>/events", follow),
]

asgi = get_asgi_application()
wsgi = get_wsgi_application()

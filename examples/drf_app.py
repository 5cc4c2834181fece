"""
Unspool within Django REST framework: `uvicorn examples.drf_app:asgi`.

Without `EventStream` among its renderers, a view answers 406 to a client that asks for
`Accept: text/event-stream`.
"""

import json
import os
from pathlib import Path

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    INSTALLED_APPS=["rest_framework"],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "for trying only"),
    UNSPOOL={"data_dir": Path(os.environ.get("UNSPOOL_DATA_DIR", ".data"))},
)
django.setup()

# Django's settings must be there first.
from rest_framework.renderers import BaseRenderer, JSONRenderer  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from unspool.django import stream  # noqa: E402


class EventStream(BaseRenderer):
    """Only errors of the framework are rendered with it: a stream is an answer already."""

    media_type = "text/event-stream"
    format = "sse"
    charset = None

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class Rewrite(APIView):
    renderer_classes = (EventStream, JSONRenderer)

    def post(self, request, pk):
        text = request.data.get("original_text")
        wanted = {"project_id": pk, "stages": ["rewrite"], "original_text": text}
        return stream(request, "story", wanted, "story")


urlpatterns = [
    path("drf/projects/<int:pk>/rewrite-stream/", Rewrite.as_view()),
    path("", include("unspool.django")),
]

asgi = get_asgi_application()
wsgi = get_wsgi_application()

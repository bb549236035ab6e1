"""`web`: pages and REST API, behind `edge`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helicone_site.settings")
application = get_wsgi_application()

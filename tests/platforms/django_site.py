"""A real Django: its own log-in view, form tokens, messages, sessions and choice of language; Plausible, LinkedIn's insight
tag and a map on it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.loopback_process import run_process
from tests.platforms.platform_world import Modelled, Visitor
from tests.ports import free_port

PLAUSIBLE = "https://plausible.io/js/script.js"
MAP = "https://www.openstreetmap.org/export/embed.html?bbox=4.8,52.3,4.9,52.4&layer=mapnik"
PROJECT = '''
"""An invented project."""

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of the test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.locale.LocaleMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    LANGUAGES=[("nl", "Nederlands"), ("en", "English")],
    LANGUAGE_CODE="nl",
    LOGIN_REDIRECT_URL="/",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": ["."],
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
)
django.setup()

from django.contrib import messages  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.shortcuts import redirect, render  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.i18n import set_language  # noqa: E402


def home(request):
    answer = render(request, "page.html", {"basket": request.session.get("basket", 0)})
    for name in ("_ga", "li_fat_id"):
        answer.set_cookie(name, "1", max_age=9000)
    return answer


def basket(request):
    request.session["basket"] = request.session.get("basket", 0) + 1
    messages.success(request, "In het mandje gelegd")
    return redirect("/")


urlpatterns = [
    path("", home),
    path("mandje/", basket),
    path("accounts/login/", LoginView.as_view(template_name="page.html")),
    path("i18n/setlang/", set_language),
]
application = get_asgi_application()
call_command("migrate", verbosity=0)
User.objects.create_user("anna", password="geheim")
'''
PAGE = f"""<!doctype html><html lang="nl"><head><title>Voorbeeld</title><script src="/static/site.js"></script>
<script defer data-domain="www.example.org" src="{PLAUSIBLE}"></script>
<script type="text/javascript">_linkedin_partner_id = "123456"; window._linkedin_data_partner_ids =
window._linkedin_data_partner_ids || []; window._linkedin_data_partner_ids.push(_linkedin_partner_id);</script></head><body>
{{% for message in messages %}}<p class="message">{{{{ message }}}}</p>{{% endfor %}}
<h1>{{{{ user.username|default:"niemand" }}}}: {{{{ basket }}}} in mandje, {{{{ request.LANGUAGE_CODE }}}}</h1>
<a href="/accounts/login/">Inloggen</a>
<form method="post" action="/accounts/login/">{{% csrf_token %}}<input name="username"><input name="password"></form>
<form method="post" action="/mandje/">{{% csrf_token %}}</form>
<form method="post" action="/i18n/setlang/">{{% csrf_token %}}<input type="hidden" name="next" value="/"></form>
<iframe src="{MAP.replace("&", "&amp;")}"></iframe></body></html>"""


@contextmanager
def open_django(folder: Path) -> Iterator[int]:
    """The project in a process of its own."""
    home = folder / "django"
    home.mkdir()
    (home / "mysite.py").write_text(PROJECT, "utf-8")
    (home / "page.html").write_text(PAGE, "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(home), "--port", str(port), "--no-proxy-headers"]
    with run_process([*command, "mysite:application"], port, home / "log", folder=home):
        yield port


def walk(visitor: Visitor) -> None:
    """Fill the basket and read its message, choose a language, log in; a form without its token is refused."""
    visitor.post("/mandje/", {"csrfmiddlewaretoken": "x" * 64}, 403)
    page = visitor.get("/")
    for count in (1, 2):
        page = visitor.submit(page, "/mandje/", {})
        assert f"{count} in mandje" in page
        assert "In het mandje gelegd" in page
    assert "in mandje, en</h1>" in visitor.submit(page, "/i18n/setlang/", {"language": "en"})
    page = visitor.get("/accounts/login/")
    assert "<h1>anna: 2 in mandje" in visitor.submit(
        page, "/accounts/login/", {"username": "anna", "password": "geheim"}
    )


DJANGO = Modelled(
    name="django",
    open=open_django,
    walk=walk,
    needed=("csrftoken", "sessionid", "django_language"),
    optional=("_ga", "li_fat_id"),
    tags=(PLAUSIBLE, MAP),
    scripts=("_linkedin_partner_id",),
    contacts=("plausible.io", "www.openstreetmap.org"),
    works=("/static/site.js",),
)

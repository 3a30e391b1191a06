"""Templates that would cost time or memory. Run as a program, it fills each and tells what that took, a line of JSON a template.

A process of its own, so that its peak of memory is that of the templates, and so that one that never ends can be ended. Time is
the time of the processor: what else a machine does is no fault of a template.
"""

import json
import resource
import time

from django.conf import settings

from notify.templates import BadTemplate, render

NAME, TEXT, LONG = "web-1", "c" * 500, "c" * 8192  # as long as a value can be, and one that may have lines
VALUES = {
    "name": NAME,
    "text": TEXT,
    "long": LONG,
    "n": 3,
    "labels": {f"k{i}": TEXT for i in range(64)},
    "rows": [1, 2, 3],
}
BOMBS = {
    "repeated text": "{{ 'a' * 500000000 }}",
    "padded text": "{{ '%500000000d' % 1 }}",
    "centred text": "{{ name|center(500000000) }}",
    "centred by a method": "{{ name.center(500000000) }}",
    "power": "{{ 9 ** 99999999 }}",
    "power of powers": "{{ ((9 ** 8) ** 8) ** 8 }}",
    "doubled by with": "{% with a = text %}" + "{% with a = a ~ a %}" * 20 + "{{ a|length }}" + "{% endwith %}" * 21,
    "doubled by set": "{% set a = text %}" + "{% set a = a ~ a %}" * 20 + "{{ a }}",
    "a chain in a chain": "{% for a in [[" + "text~" * 390 + "text]] %}{{ (" + "a[0]~" * 800 + "a[0])|length }}{% endfor %}",
    "rounded to a power of ten": "{{ 5|round(-500000000) }}",
    "rounded up": "{{ 5|round(500000000, 'ceil') }}",
    "rounded in a text": "{{ name ~ 5|round(-500000000) }}",
    "sorted in a loop": "{% for c in text %}{% if " + "text|sort|sort|sort|length + " * 170 + "0 < 0 %}{% endif %}{% endfor %}",
    "joined in a loop": "{% for c in text %}{% if [" + "text ~ text," * 450 + "text]|length < 0 %}{% endif %}{% endfor %}",
    "lists of a long text": "{% for c in [text] %}{{ (" + "c~" * 3500 + "c)|sort|unique|list|length }}{% endfor %}",
    "joined by a long text": "{{ 'aa'|join('" + "b" * 4000 + "')|join('" + "b" * 3900 + "') }}",
    "a loop in a loop": "{% for a in text %}{% for b in text %}{% endfor %}{% endfor %}",
    "a loop in itself": "{% for a in rows recursive %}{{ loop(rows) }}{% endfor %}",
    "a macro in itself": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "a long loop": "{% for c in '" + "c" * 4000 + "' %}{{ name }}{% endfor %}",
    "a range": "{% for i in range(500000000) %}{% endfor %}",
    "a long value in a loop": "{% for c in text %}{% if " + "long|upper|title|length + " * 270 + "0 < 0 %}{% endif %}{% endfor %}",
    "a long value again and again": "{{ long }}{{ long }}{{ name }}",
    "too long": "x" * 9000,
    "far too long": "x" * (24 << 20),
    "a number of 5,000 digits": "{{ " + "9" * 5000 + " }}",
    "a number of 7,000 digits": "{{ 0x" + "f" * 7000 + " }}",
    "deep brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "deep lists": "{{ " + "[" * 2000 + "name" + "]" * 2000 + " }}",
    "deep negation": "{{ " + "not " * 1500 + "name }}",
    "cut to less than nothing": "{{ text|truncate(-5) }}",
    "half of a character": "\ud800{{ name }}",
}  # fmt: skip


def main() -> None:
    settings.configure(USE_I18N=False)
    render("{{ name }}{% for r in rows %}{{ r }}{% endfor %}", VALUES)  # what is loaded once is nobody's fault
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    for name, source in BOMBS.items():
        before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            outcome = f"made {len(render(source, VALUES))} characters"
        except BadTemplate:
            outcome = "refused"
        except Exception as error:  # noqa: BLE001 -- the next one is tried all the same
            outcome = repr(error)[:200]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        print(json.dumps([name, outcome, time.process_time() - begun, grown]), flush=True)


if __name__ == "__main__":
    main()

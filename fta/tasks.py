"""The one Celery task."""

from celery import shared_task

from fta.engine import kinds


@shared_task(name="fta.tasks.wake", ignore_result=True)
def wake(kind: str, pk: int) -> None:
    """Do one item of work that a doorbell rang for."""
    kinds.get(kind).do(pk)

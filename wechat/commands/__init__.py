"""What members type to the application: `grammar` reads it, `execute` does it and words the answer."""

from wechat.commands.execute import answer, answers_in

__all__ = ["answer", "answers_in"]

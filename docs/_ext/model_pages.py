"""Directives of the pages of models, so that none repeats what the code and the results say.

    ```{model} WGAN WGANGP
    ```

says where the API of classes of `tfgen.models` is, what they derive from, which trained weights
there are, and which paper and equation their docstrings name.

    ```{benchmark} gan wgan-gp
    ```

shows rows of `examples/benchmark_rows.py`: their numbers, with seeds and commits, and the pictures
of the first. A row without a result is said to be not measured yet, and so is a model of no row.
"""

import model_text
from sphinx.util.docutils import SphinxDirective


class Words(SphinxDirective):
    """A directive whose argument is a list of words, and whose content is Markdown."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self):
        words = self.arguments[0].split() if self.arguments else []
        try:
            text = "\n".join(self.lines(words))
        except (AttributeError, ValueError) as error:
            raise self.error(str(error)) from None
        return self.parse_text_to_nodes(text)


class Model(Words):
    """Facts of classes of `tfgen.models`."""

    def lines(self, words):
        return [line for name in words for line in model_text.facts(name)]


class Benchmark(Words):
    """Rows of the benchmark, which are read anew when their results have changed."""

    def lines(self, words):
        for path in model_text.FOLDER.glob("*/seed_*/result.json"):
            self.env.note_dependency(str(path))
        return model_text.benchmark(words)


def setup(app):
    app.add_directive("model", Model)
    app.add_directive("benchmark", Benchmark)
    return {"parallel_read_safe": True}

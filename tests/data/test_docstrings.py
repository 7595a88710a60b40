"""Docstrings become running English."""

from odeembed.data.docstrings import paragraphs, python_files


def test_prose_stays_and_code_markup_and_headings_go():
    docstring = """Return the :func:`~numpy.sum` of a ``tuple`` or a list.

    The second paragraph goes on
    over two lines.  See https://example.org/page for it.

    Parameters
    ----------
    axis : int, optional
        The axis along which the sum is taken.
    dtype (numpy type): The type of the result, which is that of the array
        unless it is given.

    >>> sum((1, 2))
    3

    An example of a block is this one::

        code = should(not_be, here)

    .. math:: a^2 + b^2 = c^2

    - An item of the list is a paragraph.
    - Another item of the same list.
    """
    assert list(paragraphs(docstring)) == [
        "Return the sum of a tuple or a list.",
        "The second paragraph goes on over two lines. See for it.",
        "The axis along which the sum is taken.",
        "The type of the result, which is that of the array unless it is given.",
        "An example of a block is this one::",
        "An item of the list is a paragraph.",
        "Another item of the same list.",
    ]


def test_lines_that_are_no_english_are_left_out():
    assert not list(paragraphs("names = [x for x in dir(signal) if not x.startswith('_')]"))
    assert not list(paragraphs("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi"))
    assert not list(paragraphs("Too short."))


def test_files_come_in_the_order_of_names_without_tests(tmp_path):
    for name in ("b.py", "a.py", "tests/c.py", "sub/d.py", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(file.relative_to(tmp_path)) for file in python_files(tmp_path)] == [
        "a.py",
        "b.py",
        "sub/d.py",
    ]

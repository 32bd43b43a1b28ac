"""Notebooks carried out as from a shell, and what they leave."""

import subprocess
import sys

import nbformat


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run_papermill(folder, notebook, output, **parameters):
    """Run papermill in a process of its own, as from a shell in `folder`."""
    words = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    command = [sys.executable, "-m", "papermill", notebook, output, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)


def text_and_figures(path):
    """Return what an executed notebook printed, none of it in red, and its number of figures."""
    outputs = [out for cell in code_cells(nbformat.read(path, 4)) for out in cell.outputs]
    assert not [out.text for out in outputs if out.get("name") == "stderr"]
    figures = sum("image/png" in out.get("data", {}) for out in outputs)
    return "".join(out.get("text", "") for out in outputs), figures

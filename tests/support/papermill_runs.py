"""Notebooks carried out, as from a shell or in the tests' own process, and what they leave."""

import os
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


def run_here(folder, notebook, output, **parameters):
    """Run a notebook's cells in this process, which has TensorFlow already, and write `output`.

    The parameters come in as papermill puts them. An error of a cell is raised.
    """
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from matplotlib import pyplot
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    class Hook(DisplayHook):
        def __call__(self, result=None):
            if result is not None:
                self.shell.display_pub.publish(*self.shell.display_formatter.format(result))

    class Shell(InteractiveShell):
        displayhook_class, display_pub_class = Hook, CapturingDisplayPublisher

        def enable_gui(self, gui=None):
            """No windows."""

    words = {k: str(v) if isinstance(v, os.PathLike) else v for k, v in parameters.items()}
    done = parameterize_notebook(load_notebook_node(str(notebook)), words)
    home, backend = os.getcwd(), pyplot.get_backend()
    shell = Shell.instance(ipython_dir=str(folder / "ipython"))
    shell.history_manager.enabled = False
    try:
        os.chdir(folder)
        shell.enable_matplotlib("inline")
        for cell in code_cells(done):
            shell.display_pub.outputs = []
            with capture_output(display=False) as printed:
                result = shell.run_cell(cell.source)
            result.raise_error()
            for name in ("stdout", "stderr"):
                if text := getattr(printed, name):
                    cell.outputs.append(nbformat.v4.new_output("stream", name=name, text=text))
            for shown in shell.display_pub.outputs:
                cell.outputs.append(nbformat.v4.new_output("display_data", shown["data"]))
    finally:
        os.chdir(home)
        Shell.clear_instance()
        pyplot.switch_backend(backend)
    nbformat.write(done, output)


def text_and_figures(path):
    """Return what an executed notebook printed, none of it in red, and its number of figures."""
    outputs = [out for cell in code_cells(nbformat.read(path, 4)) for out in cell.outputs]
    assert not [out.text for out in outputs if out.get("name") == "stderr"]
    figures = sum("image/png" in out.get("data", {}) for out in outputs)
    return "".join(out.get("text", "") for out in outputs), figures

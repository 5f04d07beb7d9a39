"""Convolutions by ONNX Runtime, which opens in a tenth of a second where torch takes seconds to import.

A graph does one shape of convolution, and takes its weights as it takes its signal. `compile_audio` writes the graphs;
each is some 300 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pe_search.pe_audio.narrow import Shape, Signal

if TYPE_CHECKING:
    import onnxruntime

OPSET = 18
# The version of ONNX's own format, which a runtime may be too old for.
_IR_VERSION = 9
_NONE: Mapping[str, Signal] = MappingProxyType({})


class OnnxConvolutions:
    """A `narrow.Convolve`, on the thread of the caller.

    Args:
        directory: Where `write_convolutions` left the graphs.
        shapes: Of those that will be asked for.
    """

    def __init__(self, directory: Path, shapes: Iterable[Shape]) -> None:
        self._sessions = {shape: open_graph(directory / _file_of(shape)) for shape in shapes}

    def __call__(self, signal: Signal, kernel: Signal, bias: Signal, shape: Shape) -> Signal:
        """As `narrow.Convolve`."""
        feeds = {"signal": signal, "kernel": kernel, "bias": bias}
        result: Signal = self._sessions[shape].run(None, feeds)[0]
        return result


def write_convolutions(directory: Path, shapes: Iterable[Shape]) -> None:
    """Write the graph of each shape into a directory."""
    from onnx import TensorProto, helper

    for shape in shapes:
        node = helper.make_node(
            "Conv",
            ["signal", "kernel", "bias"],
            ["result"],
            kernel_shape=[shape.taps],
            dilations=[shape.dilation],
            strides=[shape.stride],
            pads=[shape.padding, shape.padding],
        )
        dimensions: dict[str, list[str | int | None]] = {
            "signal": [None] * 3,
            "kernel": [None, None, shape.taps],
            "bias": [None],
            "result": [None] * 3,
        }
        values = {
            name: helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in dimensions.items()
        }
        graph = helper.make_graph([node], "convolution", [values[name] for name in node.input], [values["result"]])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        (directory / _file_of(shape)).write_bytes(model.SerializeToString())


def open_graph(file: Path, weights: Mapping[str, Signal] = _NONE) -> onnxruntime.InferenceSession:
    """Open a graph that runs on the thread of the caller, with the weights that it lacks.

    Raises:
        Exception: Whatever the runtime makes of a file that it can't open.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(weight) for weight in weights.values()]
    options.add_external_initializers(list(weights), values)
    return onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])


def _file_of(shape: Shape) -> str:
    return f"convolution-{shape.taps}-{shape.dilation}-{shape.stride}.onnx"

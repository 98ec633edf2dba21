"""The number formats of weights that CTranslate2 stores."""

from typing import Literal

Quantization = Literal[
    "float32", "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16"
]

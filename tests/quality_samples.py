"""A record of quality, made up, for what shows it."""

from engine.spec.quality import Comparison, Copies, Measures, QualitySheet

FLOOR = Measures(1.34, 0.0193, 0.0011, 0.923, 0.961, 0.788, 0.81, 0.612, 0.59, 0.63)
BAD = Measures(158.2, 5.48, 0.014, 0.375, 0.0287, 0.099, 0.016, 0.999, 0.998, 1.0)

COPIES = Copies(
    synthetic=500,
    held_out=400,
    train=20_000,
    matched=0.124,
    matched_held_out=0.002,
    near=0.3,
    distance=0.61,
    clear=True,
    criterion="more than enough are",
)

SHEET = QualitySheet(
    comparisons=(
        Comparison("random convolutions", "both classes", 2000, BAD, FLOOR),
        Comparison("random convolutions", "normal", 1000, BAD, FLOOR),
        Comparison("random convolutions", "tumour", 1000, BAD, FLOOR),
        Comparison("cnn trained on real", "both classes", 2000, BAD, FLOOR),
        Comparison("cnn trained on real", "normal", 1997, BAD, FLOOR),
        Comparison("cnn trained on real", "tumour", 3, Measures(), Measures(), ("the detector needs more patches",)),
    ),
    copies=COPIES,
    notes=("The floor is training patches.",),
)

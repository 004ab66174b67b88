"""Multi30k: 29,000 + 1,014 English descriptions of photographs with French translations, and four test sets (Elliott,
Frank, Sima'an & Specia 2016; Elliott et al. 2017; Barrault et al. 2018)."""

import hashlib
import sys

from hyperevo.data._files import require
from hyperevo.data._pairs import PairData, read_pairs

NAME = "Multi30k"
TITLE = "Multi30k, English and French, 29,000 + 1,014 sentences and four tests of 461 to 1,071"
TERMS = "for non-commercial research and teaching"
KIND = "pairs"
UNPACKED: dict[str, str] = {}
FILES = {
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
    "test_2017_flickr.en.gz": "76a444ee25172e72695cddb13ae4a3bda59430617be88e0bb46b60504f054074",
    "test_2017_flickr.fr.gz": "3ba671ceb2299f3304ffafefea7a833d08632fbaf0ba18546f8a2ec2391af496",
    "test_2017_mscoco.en.gz": "aab300bfb4427697987e02cd0aacd44bfe8aa50456231b6474c08038bbed2b58",
    "test_2017_mscoco.fr.gz": "754f3072ba9f124569ba5258b32730fc1d214bbf8e0c6dfb2b74401676220db0",
    "test_2018_flickr.en.gz": "ef4f4844037d4c5dea75c9a8ed5fd78905967a26f67c255e230cc9780032654d",
    "test_2018_flickr.fr.gz": "fb2b83fcceb937a4f7e3e93c1c51c22aba92f1e342391e6b5ba392b16a920501",
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
}
MIRRORS = ("https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/",)

LANGUAGES = ("en", "fr")
TESTS = {"2016": "test_2016_flickr", "2017": "test_2017_flickr", "2018": "test_2018_flickr",
         "coco": "test_2017_mscoco"}
"""Names of the tests, by those that people use."""


def load(languages: tuple[str, str] = LANGUAGES) -> PairData:
    """The whole data set, from one language into the other; raises UserError where a file is wrong or missing."""
    paths = require("multi30k", sys.modules[__name__])
    train, validation = (read_pairs(paths, part, languages) for part in ("train", "val"))
    tests = {name: read_pairs(paths, file, languages) for name, file in TESTS.items()}
    return PairData("multi30k", languages, train, validation, tests,
                    hashlib.sha256("".join([*languages, *FILES.values()]).encode()).hexdigest())

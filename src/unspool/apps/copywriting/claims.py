"""
Words with which a post claims something that only the product's facts can give.

To add a material or a function: a `Wording`. Words stand here in lower case, and only such as are
seldom said of something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = r"\d+(?:,\d{3})*(?:\.\d+)?"


@dataclass(frozen=True, slots=True)
class Wording:
    """A claim, and the words of which one must be among the facts."""

    pattern: re.Pattern[str]
    supported_by: tuple[str, ...]


def _claim(said: str, *supported_by: str) -> Wording:
    words = [rf"\b{word}\b" if word.isascii() else word for word in said.split("|")]
    return Wording(re.compile("|".join(words)), supported_by or tuple(said.split("|")))


_COW = ("牛皮", "牛革", "cowhide", "nubuck", "磨砂皮", "头层")
_LEATHER = (*_COW, "羊皮", "猪皮", "真皮", "皮革", "鞣", "leather", "suede", "麂皮", "反绒", "马皮")
_DOWN = ("羽绒", "鸭绒", "鹅绒", "down jacket", "goose down", "duck down")
_WOOL = ("羊毛", "wool", "美利奴", "merino", "羊绒")

MATERIALS: Final = (
    _claim("真皮|genuine leather|real leather|full-grain leather|leather", *_LEATHER),
    _claim("牛皮|头层皮|头层牛|cowhide", *_COW),
    _claim("小羊皮|羊皮|sheepskin|lambskin", "羊皮", "sheepskin", "lambskin"),
    _claim("麂皮|反绒皮|suede", "麂皮", "反绒", "suede", "磨砂皮"),
    _claim("人造革|pu皮|pu革|faux leather", "pu", "人造革", "合成革", "超纤", "faux"),
    _claim("羊毛|美利奴|merino|wool", *_WOOL),
    _claim("羊绒|cashmere", "羊绒", "cashmere"),
    _claim("真丝|蚕丝|桑蚕丝|silk", "丝", "silk"),
    _claim("纯棉|全棉|长绒棉|精梳棉|棉质|cotton", "棉", "cotton"),
    _claim("亚麻|苎麻|linen", "麻", "linen"),
    _claim("羽绒|鹅绒|鸭绒|goose down|duck down", *_DOWN),
    _claim("帆布|canvas", "帆布", "canvas"),
    _claim("飞织|flyknit|knit upper", "飞织", "针织", "knit", "编织"),
    _claim("网布|网面|mesh", "网", "mesh"),
    _claim("尼龙|锦纶|nylon", "尼龙", "锦纶", "nylon", "cordura"),
    _claim("涤纶|聚酯纤维|polyester", "涤纶", "聚酯", "polyester"),
    _claim("莫代尔|modal", "莫代尔", "modal"),
    _claim("天丝|莱赛尔|lyocell|tencel", "天丝", "莱赛尔", "lyocell", "tencel"),
    _claim("碳纤维|碳板|carbon plate|carbon fiber|carbon fibre", "碳", "carbon"),
    _claim("硅胶|silicone", "硅胶", "silicone"),
    _claim("不锈钢|stainless steel", "不锈钢", "stainless"),
    _claim("钛合金|纯钛|titanium", "钛", "titanium"),
    _claim("橡胶|rubber", "橡胶", "rubber"),
    _claim("gore-tex|goretex", "gore"),
    _claim("乳胶|latex", "乳胶", "latex"),
    _claim("玻璃|陶瓷|ceramic", "玻璃", "陶瓷", "ceramic", "glass"),
)

FUNCTIONS: Final = (
    _claim("防水|waterproof", "防水", "防泼", "gore", "waterproof", "泳", "潜水"),
    _claim("抗菌|抑菌|antibacterial|antimicrobial", "抗菌", "抑菌", "antibac", "antimicro"),
    _claim("防晒|upf", "防晒", "upf", "紫外", "遮阳"),
    _claim("防紫外线|uv protection", "防晒", "upf", "紫外", "uv"),
    _claim("加绒|fleece-lined", "绒", "fleece"),
    _claim("自发热|发热", "发热", "加热"),
    _claim(
        "防滑|non-slip|anti-slip|slip-resistant", "防滑", "抓地", "不滑", "止滑", "slip", "grip"
    ),
    _claim("速干|quick-dry|quick-drying", "速干", "快干", "排汗", "吸湿", "quick"),
)

OFFERS: Final = re.compile(
    r"买[一二两三四\d]{1,2}[送赠][一二两三四\d]{1,2}|[第]?[二2]件半价|半价|对折|"
    rf"(?:{_NUMBER}|[二三四五六七八九]{{1,2}}|一(?=折[起价优抢]))\s*折(?![叠伞页痕扇扣点射])|"
    r"打折|折扣(?!以)|特价|促销|秒杀|清仓|返现|返利|"
    rf"满\s*(?:{_NUMBER}|[一二三四五六七八九十百千]+)\s*元?\s*(?:减|送|包邮|赠)\s*\d*|"
    rf"(?:立减|直降|立省|再减|减免|省下)\s*(?:{_NUMBER}|[一二三四五六七八九十百千]+)\s*[元块]?|"
    r"包邮|免邮|免运费|免费(?:送|配送|试穿|试用|退换|领)|"
    r"优惠(?:券|价|大|多|力度)|[有享][受]?优惠|限时(?:特|抢|优|折|秒|购|免|立)\S?|"
    r"赠品|附赠|加赠|赠送(?!给|亲|朋|家|长辈|友|他|她|爸|妈|父|母)|"
    r"(?:还|再|下单就?|拍下就?|随单|随鞋|随包)\s*送(?!给|人|礼|到|去|走|朋|爸|妈|长)\S{1,4}|"
    r"(?:领|用|抢)券|红包|"
    r"buy one,? get one(?: free)?|\bbogo\b|free shipping|free gifts?|free returns?|"
    rf"{_NUMBER}\s*%\s*off|half[- ]price|\bdiscount(?:ed|s)?\b|\bon sale\b|\bcoupons?\b|"
    r"\bclearance\b|limited[- ]time (?:offer|deal|price)|\bpromo(?:tion|\s?code)\b|special offer",
    re.IGNORECASE,
)
"""Promises about money that a shop must keep."""

BARE_PRICE: Final = re.compile(
    r"(?:售价|价格|标价|定价|到手价?|现价|原价|特价|卖价|价位|身价)\s*(?:仅|只|才)?\s*[为是要:]?\s*"
    rf"(?P<n>{_NUMBER}|[一二三四五六七八九两][一二三四五六七八九十百千万]*[百千万十][一二三四五六七八九十百千万]*)"
    r"(?![\d元块¥.]|\s*(?:元|块|rmb|cny|usd|美元|欧元|港元|日元|英镑))"
    rf"|(?:只要|只需|仅需|仅售|只卖)\s*(?P<m>{_NUMBER})(?=\s*(?:[，。！？；,!?;]|起|$))",
    re.IGNORECASE,
)
"""A price without a unit."""

PER_USE: Final = re.compile(
    r"每[次天月年回穿双]|一[次天回]|平均|摊|单次|日均|per (?:wear|day|use|run)|a day|运费",
    re.IGNORECASE,
)
"""A share of the price, reckoned by the writer."""

ROUGHLY: Final = re.compile(
    r"不到|不足|左右|上下|出头|以内|约|大概|近|多|around|about|under|roughly"
)

DENIED: Final = re.compile(
    r"(?:(?:不是|不算|不像|不靠|不用|不必|不需要?|不打|不搞|不谈|不玩|不含|不用等|并非|而非|没有|从不)"
    r"\S{0,4}|(?:不|没|未|(?<!特)别|无|非)|"
    r"(?:\bno\b|\bnot\b|n't|\bwithout\b|\bnever\b|\binstead of\b)(?:\s+[\w-]+){0,2}\s*)$",
    re.IGNORECASE,
)
"""A denial, at the end of what stands before the words."""

OTHER_THING: Final = re.compile(
    r"配|搭|像|好似|如同|仿佛|似的|比|告别|替换|替代|换掉|旧的|代替|相比|不输|媲美|穿腻|脱下|"
    r"\blike\b|\bthan\b|\bpair|\bwith (?:a|your|any)?|\bunlike\b|\binstead\b|\breplac",
    re.IGNORECASE,
)
"""Before words about another thing than the product."""

GARMENTS: Final = re.compile(
    r"(?:的|制)?(?P<it>袜|长裤|短裤|西裤|裤|衬衫|衬衣|大衣|外套|毛衣|夹克|连衣裙|裙|围巾|手套|沙发|"
    r"地板|地面|跑道|操场|杯|瓶|糖|花)|\s+(?P<it2>socks?|pants|trousers|jeans|shirts?|coat|jacket|"
    r"dress|sofa|shorts)",
    re.IGNORECASE,
)
"""Another thing, of which the word before may be the material."""

COLORS: Final[Mapping[str, tuple[str, ...]]] = {
    "black": ("黑", "墨", "玄", "乌", "black"),
    "white": ("白", "象牙", "奶油", "white", "ivory", "cream"),
    "grey": ("灰", "银", "grey", "gray", "silver", "炭"),
    "red": ("红", "绯", "朱", "酒", "枣", "red", "burgundy", "maroon", "wine"),
    "pink": ("粉", "樱", "桃", "玫", "pink", "rose"),
    "orange": ("橙", "橘", "珊瑚", "orange", "coral"),
    "yellow": ("黄", "金", "杏", "柠", "姜", "yellow", "gold", "mustard"),
    "green": ("绿", "青", "橄榄", "翠", "薄荷", "军", "green", "olive", "mint"),
    "blue": ("蓝", "青", "靛", "navy", "blue", "湖", "海军"),
    "purple": ("紫", "藕", "薰衣草", "purple", "violet", "lavender"),
    "brown": ("棕", "咖", "褐", "驼", "卡其", "焦糖", "栗", "brown", "tan", "camel", "khaki", "茶"),
    "beige": ("米", "杏", "燕麦", "沙", "裸", "卡其", "beige", "oat", "sand"),
}
"""Hues, and the words for them."""

_HUE: Final = "黑|白|灰|红|粉|橙|橘|黄|绿|蓝|紫|棕|咖啡|咖|褐|驼|卡其|米"
_ENGLISH_HUE: Final = (
    "black|white|grey|gray|red|pink|orange|yellow|green|blue|navy|purple|brown|beige|khaki"
)

COLOR_CLAIM: Final = re.compile(
    rf"(?:颜色|配色|色调|本款|这款|这双|这件|这条|一身|整[双件条]|通体|选用|采用)"
    rf"[^，。！？；,\n]{{0,4}}?(?:[深浅亮暗纯正大经典的]*)(?P<color>{_HUE})色"
    rf"|(?P<color2>{_HUE})色(?:的)?(?:款|鞋面|鞋身|机身|外观|面料|这个颜色|配色|版)"
)
"""A colour said of the product itself."""

ENGLISH_COLOR_CLAIM: Final = re.compile(
    rf"\b(?:in|comes in|colou?r(?:ed|way)?(?: is|:)?) (?:a |an |the |pure |deep |classic |bright )*"
    rf"(?P<color>{_ENGLISH_HUE})\b(?! (?:pants|trousers|jeans|socks|shirt|dress|and white photos))"
    rf"|\b(?P<color2>{_ENGLISH_HUE}) (?:colou?rway|version|edition|upper|shoes?|sneakers?)\b"
)

BRANDS: Final = re.compile(
    r"耐克|阿迪达斯|阿迪|安踏|李宁|特步|鸿星尔克|匹克|乔丹|新百伦|彪马|斯凯奇|匡威|亚瑟士|优衣库|"
    r"始祖鸟|北面|迪桑特|昂跑|萨洛蒙|回力|飞跃牌|百丽|达芙妮|古驰|路易威登|香奈儿|爱马仕|"
    r"\b(?:nike|adidas|li-?ning|anta|new balance|puma|skechers|converse|asics|uniqlo|zara|gucci|"
    r"arc'?teryx|the north face|salomon|hoka|reebok|under armour|lululemon)\b",
    re.IGNORECASE,
)
"""Well-known brands; those of the shop come from its products."""

"""The Chinese words for the concepts of the demo corpus: nouns with their measure words, verbs with their objects."""

from dataclasses import dataclass, replace

from simlstm.data.demo.nouns import NOUNS
from simlstm.data.demo.rules import RULES
from simlstm.data.demo.taxonomy import select

# concept: measure words: words that mean the same
_NOUNS = """
man:个名:男人,男子,男士 · woman:个名:女人,女子,女士 · person:个:人 · boy:个名:男孩,男孩子,小男孩
girl:个名:女孩,女孩子,小女孩 · child:个:孩子,小孩,儿童 · baby:个:婴儿,宝宝 · teenager:个名:青少年,少年
mother:位:母亲,妈妈 · father:位:父亲,爸爸 · grandmother:位:奶奶,祖母 · grandfather:位:爷爷,祖父 · brother:位个:哥哥
sister:位个:姐姐 · student:个名:学生 · teacher:位个:老师,教师 · professor:位个:教授 · doctor:位名:医生,大夫
nurse:位名:护士 · police_officer:名个:警察,警官 · firefighter:名个:消防员 · soldier:名个:士兵,军人 · cook:位名:厨师
waiter:名个:服务员 · seller:个名:售货员,店员 · customer:位名:顾客,客人 · driver:名个:司机,驾驶员 · pilot:名位:飞行员
worker:名个:工人 · mechanic:名个:机械师,技工 · carpenter:名个:木匠,木工 · farmer:个名:农民,农夫 · gardener:名个:园丁
singer:名位:歌手,歌唱家 · musician:位名:音乐家,乐手 · dancer:名位:舞蹈演员,舞者 · actor:名位:演员 · clown:个名:小丑
painter:位名:画家 · photographer:位名:摄影师 · engineer:名位:工程师 · scientist:位名:科学家 · programmer:名个:程序员
writer:位名:作家 · journalist:名位:记者 · lawyer:名位:律师 · athlete:名个:运动员 · coach:名位:教练 · friend:位个:朋友
neighbor:位个:邻居 · tourist:名个:游客,旅客 · thief:个名:小偷,盗贼 · dog:只条:狗,狗狗 · puppy:只条:小狗,幼犬
cat:只:猫,猫咪 · kitten:只:小猫,幼猫 · rabbit:只:兔子 · horse:匹:马 · donkey:头:驴 · cow:头:牛,奶牛 · sheep:只:绵羊
goat:只:山羊 · pig:头只:猪 · chicken:只:鸡 · duck:只:鸭子 · goose:只:鹅 · lion:头只:狮子 · tiger:只头:老虎
bear:头只:熊 · panda:只:熊猫,大熊猫 · wolf:只匹:狼 · fox:只:狐狸 · elephant:头:大象 · giraffe:只:长颈鹿 · deer:只头:鹿
zebra:匹只:斑马 · monkey:只:猴子 · squirrel:只:松鼠 · mouse:只:老鼠 · bird:只:鸟,鸟儿 · parrot:只:鹦鹉
eagle:只:鹰,老鹰 · owl:只:猫头鹰 · fish:条:鱼 · shark:条头:鲨鱼 · dolphin:只条:海豚 · whale:头条:鲸鱼 · turtle:只:乌龟
snake:条:蛇 · frog:只:青蛙 · butterfly:只:蝴蝶 · bee:只:蜜蜂 · ant:只:蚂蚁 · spider:只:蜘蛛 · car:辆:汽车,轿车
taxi:辆:出租车,计程车 · bus:辆:公交车,公共汽车 · truck:辆:卡车,货车 · ambulance:辆:救护车 · bicycle:辆:自行车,单车
motorcycle:辆:摩托车 · scooter:辆:踏板车 · train:列:火车,列车 · tram:辆:电车 · boat:条艘:小船,小艇 · ship:艘:轮船,船
plane:架:飞机 · helicopter:架:直升机,直升飞机 · tractor:辆台:拖拉机 · apple:个:苹果 · pear:个:梨,梨子 · peach:个:桃子
banana:根个:香蕉 · orange:个:橙子 · lemon:个:柠檬 · strawberry:颗个:草莓 · watermelon:个:西瓜 · tomato:个:西红柿,番茄
potato:个:土豆,马铃薯 · carrot:根:胡萝卜 · onion:个:洋葱 · cucumber:根:黄瓜 · cabbage:棵颗:白菜,卷心菜
bread:条个:面包 · cake:个块:蛋糕 · cookie:块:饼干,曲奇 · pizza:个张:比萨,披萨 · sandwich:个:三明治
hamburger:个:汉堡,汉堡包 · noodles:碗:面条 · rice:碗:米饭 · soup:碗:汤 · dumpling:个:饺子 · salad:碗份:沙拉
egg:个:鸡蛋 · cheese:块:奶酪,芝士 · beef:块:牛肉 · ice_cream:个:冰淇淋,冰激凌 · chocolate:块:巧克力
candy:块颗:糖,糖果 · coffee:杯:咖啡 · tea:杯:茶 · water:杯:水 · juice:杯:果汁 · milk:杯:牛奶 · beer:杯:啤酒
wine:杯:葡萄酒,红酒 · guitar:把:吉他 · violin:把:小提琴 · cello:把:大提琴 · piano:架台:钢琴 · flute:支:长笛
trumpet:把支:小号 · saxophone:支把:萨克斯 · drum:面个:鼓 · basketball::篮球 · volleyball::排球 · football::足球
baseball::棒球 · golf::高尔夫球,高尔夫 · tennis::网球 · badminton::羽毛球 · table_tennis::乒乓球 · chess::国际象棋
cards::扑克,扑克牌 · shirt:件:衬衫,衬衣 · sweater:件:毛衣 · coat:件:外套,大衣 · dress:条件:连衣裙 · skirt:条:裙子,短裙
hat:顶:帽子 · helmet:顶个:头盔 · scarf:条:围巾 · tie:条:领带 · shoes:双:鞋,鞋子 · socks:双:袜子 · gloves:副双:手套
chair:把:椅子 · sofa:张个:沙发 · table:张:桌子,餐桌 · desk:张:书桌,写字台 · bed:张:床 · cupboard:个:柜子,橱柜
lamp:盏:灯,台灯 · mirror:面:镜子 · clock:个:钟,时钟 · plate:个:盘子,碟子 · bowl:个:碗 · cup:个:杯子 · bottle:个:瓶子
pot:口个:锅 · knife:把:刀,刀子 · spoon:把个:勺子,汤匙 · bag:个:包,手提包 · basket:个:篮子 · backpack:个:背包,双肩包
suitcase:个:行李箱,旅行箱 · box:个:箱子,盒子 · book:本:书,书籍 · novel:本部:小说 · newspaper:份:报纸
magazine:本:杂志 · letter:封:信,信件 · email:封:电子邮件,邮件 · report:份:报告 · article:篇:文章 · poem:首:诗,诗歌
story:个:故事 · song:首:歌,歌曲 · music::音乐 · movie:部:电影,影片 · video:个段:视频,录像 · photo:张:照片,相片
painting:幅:画,油画
phone:部个:手机,电话机 · computer:台:电脑,计算机 · camera:台部:相机,照相机 · television:台:电视机 · radio:台:收音机
machine:台:机器 · robot:个台:机器人 · watch:块只:手表 · ring:枚个:戒指 · necklace:条:项链 · umbrella:把:雨伞,伞
key:把:钥匙 · wallet:个:钱包 · ticket:张:票 · gift:份件:礼物,礼品 · hammer:把:锤子 · ladder:架个:梯子 · rope:根条:绳子
doll:个:娃娃,玩偶 · toy:个件:玩具 · kite:只个:风筝 · balloon:个只:气球 · ball:个:球 · flower:朵:花,花朵
rose:朵枝:玫瑰,玫瑰花 · tree:棵:树 · house:座栋:房子,房屋 · bridge:座:桥,桥梁 · tower:座:塔 · wall:面堵:墙
fence:道:篱笆,栅栏 · door:扇道:门 · window:扇:窗户,窗子 · gate:扇道:大门 · floor:块:地板 · carpet:块张:地毯
blanket:条:毯子,毛毯 · towel:条:毛巾 · mountain:座:山 · stone:块:石头
"""

# Where the verb takes “了” is marked by |, where the object stands by {}: after the verb when it is not said.
# concept: verbs: after 把 : after 被 : after 正在被 (- : none)
_VERBS = """
eat:吃:吃掉,吃完:吃掉,吃完:- · dine:吃|饭,用|餐:-:-:- · peel:给{}削|皮,给{}去|皮:-:-:- · taste:品尝,尝:-:-:-
drink:喝:喝掉,喝完:喝掉,喝完:- · cook:煮:煮好,煮熟:煮熟:-
bake:烤,烘烤:烤好:烤好:- · cut:切:切开,切好:切开:- · make_dinner:做|晚饭,准备|晚饭,做|晚餐:-:-:-
wash:洗,清洗:洗干净:洗干净:清洗 · clean:擦,擦洗:擦干净:擦干净:擦洗 · buy:买,购买:买下来:买走,买下:-
sell:卖,出售:卖掉:卖掉:出售 · steal:偷,偷窃:偷走:偷走:- · send:寄,寄送:寄走,寄出去:寄走,寄出去:-
receive:收到,接到:-:-:- · read:读,阅读,看:读完,看完:-:阅读 · write:写:写完,写好:-:- · tell:讲,讲述:讲完:-:-
paint:画,描绘:画下来:画下来:描绘 · sing_song:唱,演唱:唱完:-:演唱 · sing:唱|歌,歌唱:-:-:-
play_instrument:演奏:-:-:演奏 · perform:表演,演出:-:-:- · dance:跳|舞:-:-:- · play_game:打:-:-:-
play_at_table:玩:-:-:- · play_with:玩:-:-:- · play:玩,玩耍,玩儿:-:-:- · fly_kite:放:-:-:-
watch:看,观看:看完:看完:观看 · look_at:看,观察,观看:-:-:观察 · photograph:给{}拍|照,拍摄,给{}照|相:拍下来:拍下来:拍摄
listen_to:听,倾听:听完:-:- · ride:骑:-:-:- · drive:开,驾驶:开走:开走:- · roll:行驶,行进:-:-:- · sail:航行,行驶:-:-:-
build:建造,修建,建:建好,建成:建好,建成:建造 · make:做,制作:做好:做好:制作 · design:设计:设计好:设计好:设计
repair:修,修理,维修:修好:修好:修理,维修 · use:用,使用:-:-:使用 · break:打破,打碎:打破,打碎:打破,打碎:-
hit:打,击打:-:打:- · bite:咬:咬伤:咬伤,咬:- · push:推:推开:推开:- · pull:拉,拖:拉走,拖走:拉走,拖走:-
carry:搬,搬运:搬走:搬走:搬运 · lift:抬,举:抬起来,举起来:抬起来,举起来:- · throw:扔,抛:扔出去,抛出去:扔出去,抛出去:-
kick:踢:踢开:踢开:- · hold:拿着:-:-:- · catch:抓,捕捉:抓住,捉住:抓住,捉住:- · chase:追,追赶:-:-:追赶
follow:跟随,尾随:-:-:跟踪,尾随 · hug:拥抱:-:-:- · kiss:亲,亲吻:-:亲:- · stroke:抚摸,摸:-:-:抚摸
feed:喂,喂养:喂饱:喂饱:- · help:帮助,帮:-:-:- · rescue:救,营救,救助:救出来,救下来:救出来,救下来:营救
examine:检查,给{}做|检查:-:-:检查 · teach:教,教导:-:-:- · train:训练:训练好:-:训练
praise:表扬,称赞,夸奖:-:表扬,称赞,夸奖:表扬 · scold:批评,责备,责骂:-:批评,责骂:批评 · thank:感谢,向{}道|谢:-:-:-
greet:向{}打|招呼,跟{}打|招呼,问候:-:-:- · phone:打|电话:-:-:- · call:给{}打|电话,给{}拨打|电话:-:-:-
interview:采访:-:采访:采访
wait_for:等,等待,等候:-:-:- · wait:等待,等候:-:-:- · queue:排|队,站|队:-:-:- · visit:看望,探望,拜访:-:-:-
open:打开,开:打开:打开:- · close:关,关闭:关上:关上:- · find:找到,发现:-:找到,发现:- · lose:弄丢,丢失,遗失:弄丢:弄丢:-
look_for:找,寻找:-:-:寻找 · hide:藏,隐藏:藏起来:藏起来:- · wear:穿着:-:-:- · climb:爬,攀爬:-:-:- · jump:跳,跳跃:-:-:-
run:奔跑,跑:-:-:- · jog:慢跑:-:-:- · walk:走|路,行走,步行:-:-:- · stroll:散|步:-:-:- · crawl:爬,爬行:-:-:-
swim:游|泳:-:-:- · dive:潜|水:-:-:- · fly:飞,飞行,飞翔:-:-:- · take_off:起飞:-:-:- · land:降落,着陆:-:-:-
fall:摔倒,跌倒:-:-:- · plant:种,种植,栽:种好:-:- · water:给{}浇|水,浇灌:-:-:- · pick:摘,采摘:摘下来:摘下来,摘走:-
sleep:睡|觉,睡:-:-:- · rest:休息,歇息:-:-:- · sit:坐着:-:-:- · lie:躺着:-:-:- · stand:站着:-:-:- · cry:哭,哭泣:-:-:-
laugh:大笑,笑:-:-:- · smile:微笑:-:-:- · shout:大喊,喊叫,大叫:-:-:- · bark:叫,吠叫:-:-:- · talk:聊|天,交谈,谈|话:-:-:-
argue:争吵,吵|架:-:-:- · work:工作,干|活:-:-:- · study:学习,念|书:-:-:- · exercise:锻炼,健|身,锻炼|身体:-:-:-
ski:滑|雪:-:-:- · skate:滑|冰:-:-:- · surf:冲|浪:-:-:- · go_fishing:钓|鱼:-:-:- · camp:露营,野营:-:-:-
go_shopping:购|物,买|东西:-:-:- · wave:挥|手,招|手:-:-:- · clap:鼓|掌,拍|手:-:-:-
"""

# Where the verb depends on who acts or on what: action, pattern of nouns, verbs.
_AGENT_VERBS = (
    ("run", "people", "跑|步,奔跑,跑"),
    ("swim", "animal", "游,游动"),
    ("walk", "animal", "行走,走动"),
    ("lie", "animal", "趴着,躺着"),
    ("rest", "animal", "休息"),
)
_PATIENT_VERBS = (
    ("play_instrument", "guitar piano", "弹,弹奏,演奏"),
    ("play_instrument", "violin cello", "拉,演奏"),
    ("play_instrument", "instrument.wind", "吹,吹奏,演奏"),
    ("play_instrument", "drum", "打,敲"),
    ("play_game", "football", "踢"),
    ("play_at_table", "chess", "下,玩"),
    ("play_at_table", "cards", "打,玩"),
    ("play_with", "animal", "跟{}玩,和{}玩"),
    ("wear", "clothes.head clothes.neck clothes.hand", "戴着"),
    ("wash", "food", "洗,清洗"),
    ("cook", "rice egg dumpling noodles soup", "煮,做"),
    ("cook", "beef potato", "煮,炖"),
    ("sell", "food", "卖,出售"),
    ("send", "email", "发,发送"),
    ("peel", "banana orange", "剥"),
)


@dataclass(frozen=True)
class ChineseNoun:
    """The words for one concept, and the measure words it is counted with."""

    words: tuple[str, ...]
    measures: tuple[str, ...]


@dataclass(frozen=True)
class ChineseVerb:
    """The verbs for one action; ``disposed`` and ``suffered`` are what stands after 把 and after 被."""

    verbs: tuple[str, ...]
    disposed: tuple[str, ...]
    suffered: tuple[str, ...]
    suffering: tuple[str, ...]


def _entries(table: str) -> list[list[str]]:
    return [entry.split(":") for line in table.strip().splitlines() for entry in line.split(" · ")]


def _words(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))


def _complete(verb: str, has_object: bool) -> str:
    """Mark where an object stands (after the verb) and where “了” does (before that object, or last)."""
    if has_object and "{}" not in verb:
        return verb + "|{}"
    return verb if "|" in verb else verb + "|"


CHINESE_NOUNS = {
    concept: ChineseNoun(tuple(words.split(",")), tuple(measures)) for concept, measures, words in _entries(_NOUNS)
}
_HAS_OBJECT = {action: rule.frames[0][1] != (None,) for action, rule in RULES.items()}
CHINESE_VERBS = {
    concept: ChineseVerb(
        tuple(_complete(verb, _HAS_OBJECT[concept]) for verb in verbs.split(",")), *map(_words, (first, second, third))
    )
    for concept, verbs, first, second, third in _entries(_VERBS)
}


def _special(rows: tuple[tuple[str, str, str], ...]) -> dict[tuple[str, str], ChineseVerb]:
    special: dict[tuple[str, str], ChineseVerb] = {}
    for action, nouns, words in rows:
        verbs = tuple(_complete(verb, _HAS_OBJECT[action]) for verb in words.split(","))
        special |= {(action, noun): replace(CHINESE_VERBS[action], verbs=verbs) for noun in select(NOUNS, nouns)}
    return special


_BY_AGENT = _special(_AGENT_VERBS)
_BY_PATIENT = _special(_PATIENT_VERBS)


def verbs_for(action: str, agent: str, patient: str | None) -> ChineseVerb:
    """Return the verbs that say ``action`` of this agent and this patient."""
    if (action, agent) in _BY_AGENT:
        return _BY_AGENT[action, agent]
    if patient and (action, patient) in _BY_PATIENT:
        return _BY_PATIENT[action, patient]
    return CHINESE_VERBS[action]

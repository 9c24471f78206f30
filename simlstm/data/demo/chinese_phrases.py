"""Chinese words and phrases for places, times, manners, attributes and numbers."""

from simlstm.data.demo.english_words import split_entries

# What follows 在.
PLACE_PHRASES = split_entries("""
room: 房间里, 屋里 · sofa: 沙发上 · bed: 床上 · bench: 长椅上 · under_tree: 树下, 大树下
park: 公园里, 公园 · garden: 花园里 · yard: 院子里, 后院里 · grass: 草地上, 草坪上 · field: 田野里, 田野上
forest: 森林里, 树林里 · mountains: 山里, 山上 · farm: 农场里, 农场 · zoo: 动物园里, 动物园 · beach: 海滩上, 沙滩上
riverside: 河边 · lakeside: 湖边 · sea: 海里, 大海里 · river: 河里 · lake: 湖里 · pool: 游泳池里, 泳池里
street: 街上, 大街上, 街道上 · road: 路上, 公路上 · bridge: 桥上 · square: 广场上, 广场
parking_lot: 停车场里, 停车场 · home: 家里, 家中 · kitchen: 厨房里 · living_room: 客厅里 · bedroom: 卧室里, 睡房里
bathroom: 浴室里, 卫生间里 · garage: 车库里 · school: 学校里, 学校 · classroom: 教室里 · library: 图书馆里, 图书馆
playground: 操场上 · museum: 博物馆里, 博物馆 · stage: 舞台上, 台上 · theater: 剧院里, 剧场里
cinema: 电影院里, 影院里 · hospital: 医院里, 医院 · office: 办公室里, 办公室 · factory: 工厂里, 工厂
workshop: 车间里 · gym: 健身房里, 健身房 · stadium: 体育场里, 体育场 · supermarket: 超市里, 超市
market: 市场里, 市场上 · shop: 商店里, 店里 · mall: 商场里, 购物中心里 · bookstore: 书店里, 书店
restaurant: 餐厅里, 饭店里, 餐馆里 · cafe: 咖啡馆里, 咖啡厅里 · hotel: 酒店里, 旅馆里, 宾馆里
train_station: 火车站里, 火车站 · airport: 机场里, 机场 · bus_stop: 公交车站, 公交站 · sky: 天上, 空中, 天空中
""")

# An empty phrase leaves the time to the aspect of the verb.
TIME_PHRASES = split_entries("""
now: , , , , , , , 现在, 此刻 · past: · yesterday: 昨天, 昨日 · last_night: 昨晚, 昨天晚上
this_morning: 今天早上, 今早 · last_week: 上周, 上个星期 · future: · tomorrow: 明天, 明日 · tonight: 今晚, 今天晚上
next_week: 下周, 下个星期 · every_day: 每天, 天天 · weekends: 周末, 每个周末
""")

ADVERBS = split_entries("""
slowly: 慢慢地, 缓慢地 · quickly: 快速地, 迅速地, 很快地 · happily: 高兴地, 开心地, 快乐地 · angrily: 生气地, 愤怒地
quietly: 安静地, 静静地 · loudly: 大声地 · carefully: 小心地, 仔细地 · gently: 轻轻地, 温柔地 · alone: 独自, 独自一人
""")

ADJECTIVES = split_entries("""
red: 红色的, 红 · yellow: 黄色的 · blue: 蓝色的, 蓝 · green: 绿色的 · white: 白色的, 白 · black: 黑色的, 黑
brown: 棕色的, 褐色的 · gray: 灰色的 · big: 大, 很大的 · small: 很小的, 小小的 · young: 年轻的
elderly: 年老的, 上了年纪的 · tall: 高大的 · happy: 快乐的, 高兴的, 开心的 · sad: 伤心的, 难过的
angry: 生气的, 愤怒的 · tired: 疲惫的, 疲倦的 · hungry: 饥饿的, 饿着肚子的 · famous: 著名的, 有名的
beautiful: 漂亮的, 美丽的 · new: 新的, 崭新的, 新 · old: 旧的, 破旧的, 旧 · dirty: 脏的, 肮脏的
expensive: 昂贵的, 很贵的 · cheap: 便宜的, 廉价的 · hot: 热 · cold: 冰, 冰镇的 · delicious: 美味的, 好吃的
fresh: 新鲜的 · heavy: 沉重的, 很重的 · wooden: 木制的, 木头做的
""")

NUMBERS = dict(enumerate("零一两三四五六七八九十"))

//! Small tables with the columns of TPC-H, and values that its queries look for.

use crate::data::{File, Random};

const NATIONS: [&str; 25] = [
    "ALGERIA",
    "ARGENTINA",
    "BRAZIL",
    "CANADA",
    "EGYPT",
    "ETHIOPIA",
    "FRANCE",
    "GERMANY",
    "INDIA",
    "INDONESIA",
    "IRAN",
    "IRAQ",
    "JAPAN",
    "JORDAN",
    "KENYA",
    "MOROCCO",
    "MOZAMBIQUE",
    "PERU",
    "CHINA",
    "ROMANIA",
    "SAUDI ARABIA",
    "VIETNAM",
    "RUSSIA",
    "UNITED KINGDOM",
    "UNITED STATES",
];
const REGIONS: [&str; 5] = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"];
const NATION_REGIONS: [usize; 25] =
    [0, 1, 1, 1, 4, 0, 3, 3, 2, 2, 4, 4, 2, 4, 0, 0, 0, 1, 2, 3, 4, 2, 3, 3, 1];
const TYPES: [&str; 4] =
    ["PROMO BURNISHED COPPER", "LARGE BRUSHED STEEL", "ECONOMY ANODIZED STEEL", "STANDARD PLATED BRASS"];
const CONTAINERS: [&str; 5] = ["MED BOX", "SM CASE", "SM PACK", "MED BAG", "LG BOX"];
const SEGMENTS: [&str; 3] = ["BUILDING", "AUTOMOBILE", "MACHINERY"];
const PRIORITIES: [&str; 3] = ["1-URGENT", "2-HIGH", "5-LOW"];
const MODES: [&str; 4] = ["MAIL", "SHIP", "AIR", "TRUCK"];
const INSTRUCTIONS: [&str; 2] = ["DELIVER IN PERSON", "NONE"];
const COMMENTS: [&str; 3] = ["special handling requests", "Customer and their Complaints", "furiously final"];

/// Lines end with a delimiter, so that there is one more column, which is empty.
pub const FILES: [File; 8] = [
    ("test_files/tpch/data/region.tbl", "", 5, |row, _| format!("{row}|{}|none|", REGIONS[row as usize])),
    ("test_files/tpch/data/nation.tbl", "", 25, |row, _| {
        format!("{row}|{}|{}|none|", NATIONS[row as usize], NATION_REGIONS[row as usize])
    }),
    ("test_files/tpch/data/supplier.tbl", "", 40, |row, random| {
        let (word, comment) = (random.word(10), random.one_of(&COMMENTS));
        format!("{}|Supplier#{row:09}|{word}|{}|{}|{comment}|", row + 1, row % 25, contact(row, random))
    }),
    ("test_files/tpch/data/part.tbl", "", 200, |row, random| {
        let name = format!("{} green", random.one_of(&["forest", "almond"]));
        let brand = format!("Brand#{}{}", random.below(5) + 1, random.below(5) + 1);
        let (kind, size) = (random.one_of(&TYPES), random.below(50) + 1);
        let (container, price) = (random.one_of(&CONTAINERS), random.money());
        format!("{}|{name}|Manufacturer#1|{brand}|{kind}|{size}|{container}|{price}|none|", row + 1)
    }),
    ("test_files/tpch/data/partsupp.tbl", "", 800, |row, random| {
        let (count, cost) = (random.below(9999) + 1, random.money());
        format!("{}|{}|{count}|{cost}|none|", row / 4 + 1, (row / 4 + row % 4 * 7) % 40 + 1)
    }),
    ("test_files/tpch/data/customer.tbl", "", 150, |row, random| {
        let (word, segment) = (random.word(10), random.one_of(&SEGMENTS));
        let nation = random.below(25);
        format!("{}|Customer#{row:09}|{word}|{nation}|{}|{segment}|none|", row + 1, contact(nation, random))
    }),
    ("test_files/tpch/data/orders.tbl", "", 600, |row, random| {
        let (customer, status) = (random.below(100) + 1, random.one_of(&["O", "F"]));
        let (price, date, priority) = (random.money(), random.date(1992, 7), random.one_of(&PRIORITIES));
        format!(
            "{}|{customer}|{status}|{price}|{date}|{priority}|Clerk#1|0|{}|",
            row + 1,
            random.one_of(&COMMENTS)
        )
    }),
    ("test_files/tpch/data/lineitem.tbl", "", 2400, |row, random| {
        let part = random.below(200);
        let supplier = (part + random.below(4) * 7) % 40 + 1;
        let (quantity, price) = (random.below(50) + 1, random.money());
        let (discount, tax) = (random.below(11), random.below(9));
        let flags = format!("{}|{}", random.one_of(&["R", "A", "N"]), random.one_of(&["O", "F"]));
        let dates = format!("{}|{}|{}", random.date(1992, 7), random.date(1992, 7), random.date(1992, 7));
        let (instruction, mode) = (random.one_of(&INSTRUCTIONS), random.one_of(&MODES));
        let keys = format!("{}|{}|{supplier}|{}", row / 4 + 1, part + 1, row % 4 + 1);
        format!(
            "{keys}|{quantity}|{price}|0.{discount:02}|0.0{tax}|{flags}|{dates}|{instruction}|{mode}|none|"
        )
    }),
];

/// A telephone number and a balance.
fn contact(nation: u64, random: &mut Random) -> String {
    format!("{}-{}|{}", nation + 10, random.below(1_000_000), random.money())
}

//! The constants of the logarithms: tables for the cells of mantissas, and coefficients. See `log` for the method.

use std::{f32, f64};

/// A table of a number for each cell. It fits in the vector registers that permutations look up in.
#[derive(Debug, Clone, Copy)]
pub struct Table<E>(pub [E; 8]);

/// The constants of a logarithm for a floating-point type. `log` is the logarithm to its base.
pub struct LogConstants<E> {
    /// The high part of `-log r` for each cell.
    pub high: Table<E>,
    /// The low part of `-log r` for each cell, of 21 bits: AVX2 looks up numbers faster if their last 32 bits are zero.
    pub low: Table<E>,
    /// The high part of `log 2`.
    pub log2_high: E,
    /// The low part of `log 2`.
    pub log2_low: E,
}

/// The base of a logarithm other than the natural one: its constants, and `1 / ln base` as a sum of two numbers.
pub struct Base<E> {
    /// The constants of the logarithm.
    pub constants: LogConstants<E>,
    /// `1 / ln base` as a sum of two numbers, the larger first.
    pub scale: [E; 2],
}

/// `r` for each cell, in 32nds: close to the reciprocal of its center.
const RECIPROCALS: [i8; 8] = [32, 29, 26, 24, 22, 20, 18, 17];

/// A floating-point type with the constants of its logarithms.
pub trait LogElement: Copy + Sized + 'static {
    /// `r` for each cell.
    const RECIPROCAL: Table<Self>;
    /// The constants of the natural logarithm.
    const LN: LogConstants<Self>;
    /// The binary logarithm.
    const BASE_2: Base<Self>;
    /// The decimal logarithm.
    const BASE_10: Base<Self>;
    /// `P`, as described in `log`: the coefficients, in ascending order of the degree.
    const LN_1P: &[Self];
}

/// `P` for `f64`.
const LN_1P: [f64; 10] = [
    -0.5000000000000007,
    0.33333333333333587,
    -0.24999999999662903,
    0.19999999999193702,
    -0.16666667179584485,
    0.14285715151670117,
    -0.12499682719741241,
    0.11110694427906184,
    -0.10085553711172816,
    0.09183410828972616,
];

/// `P` for `f32`.
const LN_1P_F32: [f32; 4] = [-0.499_999_46, 0.333_332_15, -0.250_673_7, 0.200_863_2];

/// The high parts of `-ln r` for `f64`: multiples of 2^-42. 42 fractional bits and the 10 integer bits of |e ln 2| < 745 fit in
/// 53 bits.
const LN_HIGH: Table<f64> = Table([
    0.0,
    0.09844007281321865,
    0.20763936477828793,
    0.28768207245184385,
    0.3746934494413381,
    0.4700036292456389,
    0.5753641449034603,
    0.6325225587434034,
]);

impl LogElement for f64 {
    const RECIPROCAL: Table<f64> = {
        let mut reciprocals = [0.0; 8];
        let mut cell = 0;
        while cell < 8 {
            reciprocals[cell] = RECIPROCALS[cell] as f64 / 32.0;
            cell += 1;
        }
        Table(reciprocals)
    };

    const LN: LogConstants<f64> = LogConstants {
        high: LN_HIGH,
        low: Table([
            0.0,
            3.38712348099679e-14,
            -4.342541408929035e-14,
            -6.29235704339981e-14,
            7.260468268266429e-14,
            9.667716930825132e-14,
            1.0152653457523586e-13,
            1.0711543414407276e-13,
        ]),
        log2_high: 0.6931471805598903,
        log2_low: 5.497923018708371e-14,
    };

    const BASE_2: Base<f64> = Base {
        constants: LogConstants {
            high: Table([
                0.0,
                0.14201900487250896,
                0.29956028185893047,
                0.41503749927892386,
                0.5405683813626183,
                0.6780719051125743,
                0.8300749985576203,
                0.9125371587497284,
            ]),
            low: Table([
                0.0,
                -8.107891528302824e-14,
                -2.2626513293197426e-14,
                -8.004187590504586e-14,
                8.443284049350352e-14,
                6.333860302562555e-14,
                6.728997784324897e-14,
                -6.781364749255947e-14,
            ]),
            log2_high: 1.0,
            log2_low: 0.0,
        },
        scale: [f64::consts::LOG2_E, 2.0355273740931033e-17],
    };

    const BASE_10: Base<f64> = Base {
        constants: LogConstants {
            high: Table([
                0.0,
                0.04275198042091688,
                0.09017663034910584,
                0.12493873660832833,
                0.16272729749766768,
                0.20411998265581133,
                0.24987747321665665,
                0.27470105694169433,
            ]),
            low: Table([
                0.0,
                3.3009077242407425e-14,
                -1.7823551879195265e-14,
                -2.8373706379217212e-14,
                3.206229769528446e-14,
                1.1345357162420577e-13,
                -5.6747412758434423e-14,
                -6.228508377462139e-14,
            ]),
            log2_high: 0.3010299956640665,
            log2_low: -8.532344317057107e-14,
        },
        scale: [f64::consts::LOG10_E, 1.098319650216765e-17],
    };

    const LN_1P: &[f64] = &LN_1P;
}

impl LogElement for f32 {
    const RECIPROCAL: Table<f32> = {
        let mut reciprocals = [0.0; 8];
        let mut cell = 0;
        while cell < 8 {
            reciprocals[cell] = RECIPROCALS[cell] as f32 / 32.0;
            cell += 1;
        }
        Table(reciprocals)
    };

    // The high parts are multiples of 2^-16: 16 fractional bits and the 7 integer bits of |e ln 2| < 104 fit in 24 bits.
    const LN: LogConstants<f32> = LogConstants {
        high: Table([
            0.0,
            0.098_434_45,
            0.207_641_6,
            0.287_689_2,
            0.374_694_82,
            0.470_001_22,
            0.575_363_16,
            0.632_522_6,
        ]),
        low: Table([
            0.0,
            5.624_571_3e-6,
            -2.236_784_2e-6,
            -7.136_532_5e-6,
            -1.374_777_3e-6,
            2.408_542_5e-6,
            9.857_239e-7,
            -2.426_430_3e-8,
        ]),
        log2_high: 0.693_145_75,
        log2_low: 1.428_606_8e-6,
    };

    const BASE_2: Base<f32> = Base {
        constants: LogConstants {
            high: Table([
                0.0, 0.14201355, 0.29956055, 0.41503906, 0.5405731, 0.67807007, 0.8300781, 0.9125366,
            ]),
            low: Table([
                0.0,
                5.455068e-06,
                -2.650161e-07,
                -1.5632212e-06,
                -4.7387543e-06,
                1.8367533e-06,
                -3.1264424e-06,
                5.376559e-07,
            ]),
            log2_high: 1.0,
            log2_low: 0.0,
        },
        scale: [f32::consts::LOG2_E, 1.925963e-08],
    };

    const BASE_10: Base<f32> = Base {
        constants: LogConstants {
            high: Table([
                0.0,
                0.042755127,
                0.09017944,
                0.124938965,
                0.16271973,
                0.20411682,
                0.24987793,
                0.27470398,
            ]),
            low: Table([
                0.0,
                -3.1465322e-06,
                -2.8130103e-06,
                -2.2823545e-07,
                7.5709354e-06,
                3.1613667e-06,
                -4.564709e-07,
                -2.9225505e-06,
            ]),
            log2_high: 0.3010254,
            log2_low: 4.605039e-06,
        },
        scale: [f32::consts::LOG10_E, -1.010305e-08],
    };

    const LN_1P: &[f32] = &LN_1P_F32;
}

/// The constants of `ln_hi_lo`: those of the natural logarithm with all bits of the low parts.
pub const LN_PRECISE: LogConstants<f64> = LogConstants {
    high: LN_HIGH,
    low: Table([
        0.0,
        3.3871241029241416e-14,
        -4.3425422595242564e-14,
        -6.292357389008195e-14,
        7.260466149925637e-14,
        9.667719603235566e-14,
        1.0152652766306816e-13,
        1.0711543657844876e-13,
    ]),
    ..f64::LN
};

//! The tables and polynomial coefficients of the logarithms. See `log` for the method.

/// The constants of a logarithm for a floating-point type. `log` is the logarithm to its base.
pub struct LogConstants<T: 'static> {
    /// `r`, an approximation of `1/m` for each sixteenth of [1, 2).
    pub reciprocal: [T; 16],
    /// The high part of `-log r`.
    pub high: [T; 16],
    /// The low part of `-log r`.
    pub low: [T; 16],
    /// The high part of `log 2`.
    pub log2_high: T,
    /// The low part of `log 2`.
    pub log2_low: T,
    /// The coefficients of `P`, in ascending order of the degree.
    pub polynomial: &'static [T],
}

/// A floating-point type with the constants of its natural logarithm.
pub trait LogElement: Copy + 'static {
    /// The constants of the natural logarithm.
    const LN: &'static LogConstants<Self>;
}

// The reciprocals are multiples of 1/64 and equal for both types.
macro_rules! reciprocals {
    () => {
        [
            64.0 / 64.0,
            58.0 / 64.0,
            56.0 / 64.0,
            52.0 / 64.0,
            50.0 / 64.0,
            48.0 / 64.0,
            46.0 / 64.0,
            44.0 / 64.0,
            42.0 / 64.0,
            40.0 / 64.0,
            39.0 / 64.0,
            37.0 / 64.0,
            36.0 / 64.0,
            35.0 / 64.0,
            34.0 / 64.0,
            32.0 / 64.0,
        ]
    };
}

impl LogElement for f64 {
    // The high parts are multiples of 2^-42: 42 fractional bits and the 10 integer bits of |e ln 2| < 745 fit in 53 bits.
    const LN: &'static LogConstants<f64> = &LogConstants {
        reciprocal: reciprocals!(),
        high: [
            0.0,
            0.09844007281321865,
            0.13353139262449076,
            0.20763936477828793,
            0.2468600779316148,
            0.28768207245184385,
            0.33024168687052224,
            0.3746934494413381,
            0.4212134650763346,
            0.4700036292456389,
            0.4953214372301318,
            0.5479651707155426,
            0.5753641449034603,
            0.603535021870357,
            0.6325225587434034,
            0.6931471805598903,
        ],
        low: [
            0.0,
            3.3871241029241416e-14,
            3.1859736349078334e-14,
            -4.3425422595242564e-14,
            -8.899851356560444e-14,
            -6.292357389008195e-14,
            5.4612144489920215e-14,
            7.260466149925637e-14,
            -3.1063837541003616e-14,
            9.667719603235566e-14,
            -1.0634899648532451e-13,
            -9.521443188786736e-14,
            1.0152652766306816e-13,
            -9.883674306179806e-14,
            1.0711543657844876e-13,
            5.497923018708371e-14,
        ],
        log2_high: 0.6931471805598903,
        log2_low: 5.497923018708371e-14,
        polynomial: &[
            -0.49999999999999867,
            0.33333333333351595,
            -0.25000000001222644,
            0.19999999932100201,
            -0.16666663535224466,
            0.14285776568468528,
            -0.12503081277046108,
            0.11107125769164443,
            -0.0898422781084709,
        ],
    };
}

impl LogElement for f32 {
    // The high parts are multiples of 2^-16: 16 fractional bits and the 7 integer bits of |e ln 2| < 104 fit in 24 bits.
    const LN: &'static LogConstants<f32> = &LogConstants {
        reciprocal: reciprocals!(),
        high: [
            0.0,
            0.098_434_45,
            0.133_529_66,
            0.207_641_6,
            0.246_856_69,
            0.287_689_2,
            0.330_245_97,
            0.374_694_82,
            0.421_218_87,
            0.470_001_22,
            0.495_315_55,
            0.547_958_4,
            0.575_363_16,
            0.603_530_9,
            0.632_522_6,
            0.693_145_75,
        ],
        low: [
            0.0,
            5.624_571_3e-6,
            1.729_538_6e-6,
            -2.236_784_2e-6,
            3.388_478_5e-6,
            -7.136_532_5e-6,
            -4.284_809e-6,
            -1.374_777_3e-6,
            -5.406_994e-6,
            2.408_542_5e-6,
            5.885_472e-6,
            6.796_692e-6,
            9.857_239e-7,
            4.138_081_4e-6,
            -2.426_430_3e-8,
            1.428_606_8e-6,
        ],
        log2_high: 0.693_145_75,
        log2_low: 1.428_606_8e-6,
        polynomial: &[-0.499_999_9, 0.333_345_1, -0.250_246_1, 0.190_924_55],
    };
}

/// Base 2. The high parts are multiples of 2^-42, as for the natural logarithm.
pub const LOG2: LogConstants<f64> = LogConstants {
    reciprocal: reciprocals!(),
    high: [
        0.0,
        0.14201900487250896,
        0.1926450779424158,
        0.29956028185893047,
        0.356143810225376,
        0.41503749927892386,
        0.47643804394306244,
        0.5405683813626183,
        0.6076825772213397,
        0.6780719051125743,
        0.7145977811378543,
        0.7905466343711396,
        0.8300749985576203,
        0.8707169830549901,
        0.9125371587497284,
        1.0,
    ],
    low: [
        0.0,
        -8.107893466726174e-14,
        -1.9917399279874596e-14,
        -2.262651135603261e-14,
        -1.0069648492950886e-13,
        -8.00418555854124e-14,
        -7.531150579247643e-14,
        8.443284155858175e-14,
        -9.995925486528699e-14,
        6.33385952568616e-14,
        -1.02668366941445e-13,
        -8.937120568078598e-14,
        6.728996427240727e-14,
        4.3421195976986995e-14,
        -6.781363655020842e-14,
        0.0,
    ],
    log2_high: 1.0,
    log2_low: 0.0,
    polynomial: <f64 as LogElement>::LN.polynomial,
};

/// Base 10. The high parts are multiples of 2^-42, as for the natural logarithm.
pub const LOG10: LogConstants<f64> = LogConstants {
    reciprocal: reciprocals!(),
    high: [
        0.0,
        0.04275198042091688,
        0.05799194697760868,
        0.09017663034910584,
        0.10720996964778351,
        0.12493873660832833,
        0.14342214230237005,
        0.16272729749766768,
        0.182930683585937,
        0.20411998265581133,
        0.21511536695743416,
        0.2379782499169778,
        0.24987747321665665,
        0.2621119296336474,
        0.27470105694169433,
        0.3010299956640665,
    ],
    low: [
        0.0,
        3.300906980985312e-14,
        7.807781277774597e-14,
        -1.78235453177227e-14,
        8.485692413569872e-14,
        -2.8373705641129622e-14,
        -5.695092715108574e-14,
        3.206228782072406e-14,
        4.9704107136616343e-14,
        1.1345357820417986e-13,
        -4.619725095885232e-14,
        -8.562758469916686e-14,
        -5.6747411282259244e-14,
        -3.584228446130624e-14,
        -6.22851074368937e-14,
        -8.532344317057107e-14,
    ],
    log2_high: 0.3010299956640665,
    log2_low: -8.532344317057107e-14,
    polynomial: <f64 as LogElement>::LN.polynomial,
};

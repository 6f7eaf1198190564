//! The instructions of ops that exist for all classes and widths of registers, by their names in iced.

use iced_x86::Code;

use super::target::Form;

/// The instruction for each [`Form`], in the order of its variants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forms([Code; 6]);

impl Forms {
    pub fn code(self, form: Form) -> Code {
        self.0[form as usize]
    }
}

pub(super) const ADD: Forms = Forms([
    Code::VEX_Vaddpd_ymm_ymm_ymmm256,
    Code::EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vaddps_xmm_xmm_xmmm128,
    Code::VEX_Vaddps_ymm_ymm_ymmm256,
    Code::EVEX_Vaddps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const SUBTRACT: Forms = Forms([
    Code::VEX_Vsubpd_ymm_ymm_ymmm256,
    Code::EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vsubps_xmm_xmm_xmmm128,
    Code::VEX_Vsubps_ymm_ymm_ymmm256,
    Code::EVEX_Vsubps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MULTIPLY: Forms = Forms([
    Code::VEX_Vmulpd_ymm_ymm_ymmm256,
    Code::EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vmulps_xmm_xmm_xmmm128,
    Code::VEX_Vmulps_ymm_ymm_ymmm256,
    Code::EVEX_Vmulps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const DIVIDE: Forms = Forms([
    Code::VEX_Vdivpd_ymm_ymm_ymmm256,
    Code::EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vdivps_xmm_xmm_xmmm128,
    Code::VEX_Vdivps_ymm_ymm_ymmm256,
    Code::EVEX_Vdivps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MIN: Forms = Forms([
    Code::VEX_Vminpd_ymm_ymm_ymmm256,
    Code::EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae,
    Code::VEX_Vminps_xmm_xmm_xmmm128,
    Code::VEX_Vminps_ymm_ymm_ymmm256,
    Code::EVEX_Vminps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae,
]);
pub(super) const MAX: Forms = Forms([
    Code::VEX_Vmaxpd_ymm_ymm_ymmm256,
    Code::EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae,
    Code::VEX_Vmaxps_xmm_xmm_xmmm128,
    Code::VEX_Vmaxps_ymm_ymm_ymmm256,
    Code::EVEX_Vmaxps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae,
]);
pub(super) const AND: Forms = Forms([
    Code::VEX_Vandpd_ymm_ymm_ymmm256,
    Code::EVEX_Vandpd_zmm_k1z_zmm_zmmm512b64,
    Code::VEX_Vandps_xmm_xmm_xmmm128,
    Code::VEX_Vandps_ymm_ymm_ymmm256,
    Code::EVEX_Vandps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vandps_zmm_k1z_zmm_zmmm512b32,
]);
/// The second operand without the bits of the first.
pub(super) const AND_NOT: Forms = Forms([
    Code::VEX_Vandnpd_ymm_ymm_ymmm256,
    Code::EVEX_Vandnpd_zmm_k1z_zmm_zmmm512b64,
    Code::VEX_Vandnps_xmm_xmm_xmmm128,
    Code::VEX_Vandnps_ymm_ymm_ymmm256,
    Code::EVEX_Vandnps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vandnps_zmm_k1z_zmm_zmmm512b32,
]);
pub(super) const OR: Forms = Forms([
    Code::VEX_Vorpd_ymm_ymm_ymmm256,
    Code::EVEX_Vorpd_zmm_k1z_zmm_zmmm512b64,
    Code::VEX_Vorps_xmm_xmm_xmmm128,
    Code::VEX_Vorps_ymm_ymm_ymmm256,
    Code::EVEX_Vorps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vorps_zmm_k1z_zmm_zmmm512b32,
]);
pub(super) const XOR: Forms = Forms([
    Code::VEX_Vxorpd_ymm_ymm_ymmm256,
    Code::EVEX_Vxorpd_zmm_k1z_zmm_zmmm512b64,
    Code::VEX_Vxorps_xmm_xmm_xmmm128,
    Code::VEX_Vxorps_ymm_ymm_ymmm256,
    Code::EVEX_Vxorps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vxorps_zmm_k1z_zmm_zmmm512b32,
]);
pub(super) const ADD_INTEGERS: Forms = Forms([
    Code::VEX_Vpaddq_ymm_ymm_ymmm256,
    Code::EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64,
    Code::VEX_Vpaddd_xmm_xmm_xmmm128,
    Code::VEX_Vpaddd_ymm_ymm_ymmm256,
    Code::EVEX_Vpaddd_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
]);
pub(super) const SUBTRACT_INTEGERS: Forms = Forms([
    Code::VEX_Vpsubq_ymm_ymm_ymmm256,
    Code::EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64,
    Code::VEX_Vpsubd_xmm_xmm_xmmm128,
    Code::VEX_Vpsubd_ymm_ymm_ymmm256,
    Code::EVEX_Vpsubd_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32,
]);
/// AVX2 has none for wide integers.
pub(super) const MULTIPLY_INTEGERS: Forms = Forms([
    Code::INVALID,
    Code::EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64,
    Code::VEX_Vpmulld_xmm_xmm_xmmm128,
    Code::VEX_Vpmulld_ymm_ymm_ymmm256,
    Code::EVEX_Vpmulld_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32,
]);
/// Of the low halves of wide integers.
pub(super) const MULTIPLY_HALVES: Forms = Forms([
    Code::VEX_Vpmuludq_ymm_ymm_ymmm256,
    Code::EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64,
    Code::INVALID,
    Code::INVALID,
    Code::INVALID,
    Code::INVALID,
]);
/// By the lanes of the second operand.
pub(super) const SHIFT_LEFT_BY: Forms = Forms([
    Code::VEX_Vpsllvq_ymm_ymm_ymmm256,
    Code::EVEX_Vpsllvq_zmm_k1z_zmm_zmmm512b64,
    Code::VEX_Vpsllvd_xmm_xmm_xmmm128,
    Code::VEX_Vpsllvd_ymm_ymm_ymmm256,
    Code::EVEX_Vpsllvd_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vpsllvd_zmm_k1z_zmm_zmmm512b32,
]);
pub(super) const SHIFT_RIGHT_BY: Forms = Forms([
    Code::VEX_Vpsrlvq_ymm_ymm_ymmm256,
    Code::EVEX_Vpsrlvq_zmm_k1z_zmm_zmmm512b64,
    Code::VEX_Vpsrlvd_xmm_xmm_xmmm128,
    Code::VEX_Vpsrlvd_ymm_ymm_ymmm256,
    Code::EVEX_Vpsrlvd_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vpsrlvd_zmm_k1z_zmm_zmmm512b32,
]);
/// `a = a * c + b`
pub(super) const MULTIPLY_ADD_132: Forms = Forms([
    Code::VEX_Vfmadd132pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfmadd132pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfmadd132ps_xmm_xmm_xmmm128,
    Code::VEX_Vfmadd132ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfmadd132ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MULTIPLY_ADD_132_NEGATED_PRODUCT: Forms = Forms([
    Code::VEX_Vfnmadd132pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmadd132pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfnmadd132ps_xmm_xmm_xmmm128,
    Code::VEX_Vfnmadd132ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmadd132ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfnmadd132ps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MULTIPLY_ADD_132_NEGATED_ADDEND: Forms = Forms([
    Code::VEX_Vfmsub132pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfmsub132pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfmsub132ps_xmm_xmm_xmmm128,
    Code::VEX_Vfmsub132ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfmsub132ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfmsub132ps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MULTIPLY_ADD_132_NEGATED: Forms = Forms([
    Code::VEX_Vfnmsub132pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmsub132pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfnmsub132ps_xmm_xmm_xmmm128,
    Code::VEX_Vfnmsub132ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmsub132ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfnmsub132ps_zmm_k1z_zmm_zmmm512b32_er,
]);
/// `a = b * a + c`
pub(super) const MULTIPLY_ADD_213: Forms = Forms([
    Code::VEX_Vfmadd213pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfmadd213ps_xmm_xmm_xmmm128,
    Code::VEX_Vfmadd213ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfmadd213ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MULTIPLY_ADD_213_NEGATED_PRODUCT: Forms = Forms([
    Code::VEX_Vfnmadd213pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmadd213pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfnmadd213ps_xmm_xmm_xmmm128,
    Code::VEX_Vfnmadd213ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmadd213ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfnmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MULTIPLY_ADD_213_NEGATED_ADDEND: Forms = Forms([
    Code::VEX_Vfmsub213pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfmsub213pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfmsub213ps_xmm_xmm_xmmm128,
    Code::VEX_Vfmsub213ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfmsub213ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfmsub213ps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MULTIPLY_ADD_213_NEGATED: Forms = Forms([
    Code::VEX_Vfnmsub213pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmsub213pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfnmsub213ps_xmm_xmm_xmmm128,
    Code::VEX_Vfnmsub213ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmsub213ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfnmsub213ps_zmm_k1z_zmm_zmmm512b32_er,
]);
/// `a = b * c + a`
pub(super) const MULTIPLY_ADD_231: Forms = Forms([
    Code::VEX_Vfmadd231pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfmadd231ps_xmm_xmm_xmmm128,
    Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfmadd231ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MULTIPLY_ADD_231_NEGATED_PRODUCT: Forms = Forms([
    Code::VEX_Vfnmadd231pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfnmadd231ps_xmm_xmm_xmmm128,
    Code::VEX_Vfnmadd231ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmadd231ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfnmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MULTIPLY_ADD_231_NEGATED_ADDEND: Forms = Forms([
    Code::VEX_Vfmsub231pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfmsub231pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfmsub231ps_xmm_xmm_xmmm128,
    Code::VEX_Vfmsub231ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfmsub231ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfmsub231ps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const MULTIPLY_ADD_231_NEGATED: Forms = Forms([
    Code::VEX_Vfnmsub231pd_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmsub231pd_zmm_k1z_zmm_zmmm512b64_er,
    Code::VEX_Vfnmsub231ps_xmm_xmm_xmmm128,
    Code::VEX_Vfnmsub231ps_ymm_ymm_ymmm256,
    Code::EVEX_Vfnmsub231ps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vfnmsub231ps_zmm_k1z_zmm_zmmm512b32_er,
]);
pub(super) const SQRT: Forms = Forms([
    Code::VEX_Vsqrtpd_ymm_ymmm256,
    Code::EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er,
    Code::VEX_Vsqrtps_xmm_xmmm128,
    Code::VEX_Vsqrtps_ymm_ymmm256,
    Code::EVEX_Vsqrtps_ymm_k1z_ymmm256b32,
    Code::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er,
]);
pub(super) const ROUND: Forms = Forms([
    Code::VEX_Vroundpd_ymm_ymmm256_imm8,
    Code::EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae,
    Code::VEX_Vroundps_xmm_xmmm128_imm8,
    Code::VEX_Vroundps_ymm_ymmm256_imm8,
    Code::EVEX_Vrndscaleps_ymm_k1z_ymmm256b32_imm8,
    Code::EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae,
]);
pub(super) const SHIFT_LEFT: Forms = Forms([
    Code::VEX_Vpsllq_ymm_ymm_imm8,
    Code::EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8,
    Code::VEX_Vpslld_xmm_xmm_imm8,
    Code::VEX_Vpslld_ymm_ymm_imm8,
    Code::EVEX_Vpslld_ymm_k1z_ymmm256b32_imm8,
    Code::EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8,
]);
pub(super) const SHIFT_RIGHT: Forms = Forms([
    Code::VEX_Vpsrlq_ymm_ymm_imm8,
    Code::EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8,
    Code::VEX_Vpsrld_xmm_xmm_imm8,
    Code::VEX_Vpsrld_ymm_ymm_imm8,
    Code::EVEX_Vpsrld_ymm_k1z_ymmm256b32_imm8,
    Code::EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8,
]);
pub(super) const COMPARE: Forms = Forms([
    Code::VEX_Vcmppd_ymm_ymm_ymmm256_imm8,
    Code::EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae,
    Code::VEX_Vcmpps_xmm_xmm_xmmm128_imm8,
    Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8,
    Code::EVEX_Vcmpps_kr_k1_ymm_ymmm256b32_imm8,
    Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
]);
pub(super) const GREATER_INTEGERS: Forms = Forms([
    Code::VEX_Vpcmpgtq_ymm_ymm_ymmm256,
    Code::EVEX_Vpcmpgtq_kr_k1_zmm_zmmm512b64,
    Code::VEX_Vpcmpgtd_xmm_xmm_xmmm128,
    Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256,
    Code::EVEX_Vpcmpgtd_kr_k1_ymm_ymmm256b32,
    Code::EVEX_Vpcmpgtd_kr_k1_zmm_zmmm512b32,
]);
pub(super) const SAME_BITS: Forms = Forms([
    Code::VEX_Vpcmpeqq_ymm_ymm_ymmm256,
    Code::EVEX_Vpcmpeqq_kr_k1_zmm_zmmm512b64,
    Code::VEX_Vpcmpeqd_xmm_xmm_xmmm128,
    Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256,
    Code::EVEX_Vpcmpeqd_kr_k1_ymm_ymmm256b32,
    Code::EVEX_Vpcmpeqd_kr_k1_zmm_zmmm512b32,
]);
/// The second source where the mask is true, else the first.
pub(super) const SELECT: Forms = Forms([
    Code::VEX_Vblendvpd_ymm_ymm_ymmm256_ymm,
    Code::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64,
    Code::VEX_Vblendvps_xmm_xmm_xmmm128_xmm,
    Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
    Code::EVEX_Vblendmps_ymm_k1z_ymm_ymmm256b32,
    Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32,
]);
/// From memory or a register.
pub(super) const LOAD: Forms = Forms([
    Code::VEX_Vmovupd_ymm_ymmm256,
    Code::EVEX_Vmovupd_zmm_k1z_zmmm512,
    Code::VEX_Vmovups_xmm_xmmm128,
    Code::VEX_Vmovups_ymm_ymmm256,
    Code::EVEX_Vmovups_ymm_k1z_ymmm256,
    Code::EVEX_Vmovups_zmm_k1z_zmmm512,
]);
/// To memory past the caches, aligned to the register.
pub(super) const STORE_NON_TEMPORAL: Forms = Forms([
    Code::VEX_Vmovntpd_m256_ymm,
    Code::EVEX_Vmovntpd_m512_zmm,
    Code::VEX_Vmovntps_m128_xmm,
    Code::VEX_Vmovntps_m256_ymm,
    Code::EVEX_Vmovntps_m256_ymm,
    Code::EVEX_Vmovntps_m512_zmm,
]);
/// To memory.
pub(super) const STORE: Forms = Forms([
    Code::VEX_Vmovupd_ymmm256_ymm,
    Code::EVEX_Vmovupd_zmmm512_k1z_zmm,
    Code::VEX_Vmovups_xmmm128_xmm,
    Code::VEX_Vmovups_ymmm256_ymm,
    Code::EVEX_Vmovups_ymmm256_k1z_ymm,
    Code::EVEX_Vmovups_zmmm512_k1z_zmm,
]);

/* What of intel-ipsec-mb depends on the layout of its structs. */

#include <intel-ipsec-mb.h>
#include <stddef.h>

/* As src/link.rs has them. */
#define KEY_DATA_LEN 4096
#define CONTEXT_LEN 256

_Static_assert(sizeof(struct gcm_key_data) <= KEY_DATA_LEN, "KeyData in src/link.rs is too small");
_Static_assert(sizeof(struct gcm_context_data) <= CONTEXT_LEN, "Context in src/link.rs is too small");

struct ipsec_mb_functions {
        aes_gcm_pre_t expand;
        aes_gcm_enc_dec_t seal;
        aes_gcm_enc_dec_t open;
};

/* Fills in the functions for keys of 16 and of 32 octets; 0 when this CPU lacks what `arch` takes.
 * 0 is the best there is, 1 AVX2, 2 SSE. They are the manager's, and outlive it. */
int ipsec_mb_functions(int arch, struct ipsec_mb_functions functions[2])
{
        IMB_MGR *manager = alloc_mb_mgr(0);
        int usable;

        if (manager == NULL)
                return 0;
        switch (arch) {
        case 1:
                init_mb_mgr_avx2(manager);
                break;
        case 2:
                init_mb_mgr_sse(manager);
                break;
        default:
                init_mb_mgr_auto(manager, NULL);
        }
        usable = imb_get_errno(manager) == 0;
        functions[0] = (struct ipsec_mb_functions){ manager->gcm128_pre, manager->gcm128_enc, manager->gcm128_dec };
        functions[1] = (struct ipsec_mb_functions){ manager->gcm256_pre, manager->gcm256_enc, manager->gcm256_dec };
        free_mb_mgr(manager);
        for (int i = 0; i < 2; i++)
                usable = usable && functions[i].expand && functions[i].seal && functions[i].open;
        return usable;
}

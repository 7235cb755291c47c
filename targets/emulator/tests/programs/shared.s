@ Copies words between memories: at 0x8000 a list of (from, to) addresses, ended by 0; then sleeps.
    .syntax unified
    .cpu cortex-m4
    .thumb
    .word 0x10000
    .word start + 1
start:
    cpsid i
    mov.w r0, #0x8000
next:
    ldrd r1, r2, [r0], #8
    cbz r1, done
    ldm r1, {r3-r6}
    stm r2, {r3-r6}
    b next
done:
    wfi
    b done

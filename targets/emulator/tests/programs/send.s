@ Sends packets. Parameters at 0x8000: number, TCR, first key, first payload.
@ Afterwards the clock (CYCCNT) of the first and the last launch is at 0x8010.
    .syntax unified
    .cpu cortex-m4
    .thumb
    .word 0x10000
    .word start + 1
start:
    cpsid i
    ldr r0, =0xe2000000
    mov.w r1, #0x8000
    ldm r1, {r4-r7}
    str r5, [r0]            @ TCR
    movs r2, #14
    str r2, [r0, #0x7c]     @ TCTL
    cbz r4, done
next:
    ldr r2, [r0, #0x7c]
    cmp r2, #0
    bge next                @ ready is bit 31
    str r7, [r0, #0x10]     @ TDR00
    str r6, [r0, #0x14]     @ TKR0
    adds r6, #1
    adds r7, #1
    subs r4, #1
    bne next
done:
    wfi
    b done
    .ltorg

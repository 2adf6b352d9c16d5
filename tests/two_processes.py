"""Options of one small run in two processes, and of the same run in one."""

TOGETHER = ("trainer.devices=2", "trainer.strategy=ddp", "data.batch_size=8")
ALONE = ("data.batch_size=16", "data.eval_batch_size=8")
OPTIONS = (
    *("model.hidden=6", "reg=gain", "data=adding", "data.T=6", "data.batches=10"),
    *("data.eval_examples=41", "data.eval_batch_size=4", "trainer.max_epochs=4"),
    *("trainer.accelerator=cpu", "trainer.log_every_n_steps=4", "callbacks.jacobian.every=7"),
    *("callbacks.gradients.every=3", "logger=csv"),
)

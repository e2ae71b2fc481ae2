"""A short supervised warm-up, after which answers have a form and groups are mixed.

python examples/smollm2/warmup.py runs/smollm2/model runs/smollm2/data runs/smollm2/warm [EPOCHS]
"""

import sys
from pathlib import Path

import torch
from datasets import Dataset, load_dataset
from trl import SFTConfig, SFTTrainer

EPOCHS, BATCH, LEARNING_RATE = 2.0, 16, 2e-4


def conversations(path: Path) -> Dataset:
    """Problems and worked solutions as TRL's prompt-completion rows: the loss is the solution's."""
    rows = load_dataset("json", data_files=str(path), split="train")
    return rows.map(
        lambda row: {
            "prompt": [{"role": "user", "content": row["question"]}],
            "completion": [{"role": "assistant", "content": row["answer"]}],
        },
        remove_columns=rows.column_names,
    )


def main() -> None:
    if len(sys.argv) not in (4, 5):
        raise SystemExit("usage: warmup.py MODEL DATA OUTPUT [EPOCHS]")
    model, data, output = map(Path, sys.argv[1:4])
    epochs = float(sys.argv[4]) if sys.argv[4:] else EPOCHS
    cuda = torch.cuda.is_available()
    args = SFTConfig(
        str(output),
        num_train_epochs=epochs,
        per_device_train_batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="cosine",
        warmup_steps=5,
        logging_steps=10,
        save_strategy="no",
        report_to="none",
        bf16=cuda,
        use_cpu=not cuda,
        gradient_checkpointing=False,
        seed=0,
    )
    trainer = SFTTrainer(str(model), args, train_dataset=conversations(data / "warmup.jsonl"))
    trainer.train()
    trainer.save_model(str(output))


if __name__ == "__main__":
    main()

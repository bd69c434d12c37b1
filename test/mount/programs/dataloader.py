#!/usr/bin/env python3
"""
dataloader.py DIR COUNT SIZE EPOCHS: an ordinary PyTorch DataLoader (two workers, shuffle) over files that files.py made.
Prints a line of JSON for each epoch: items seen, bytes, and what was wrong; exits 3 when there is no PyTorch.
"""
import hashlib
import json
import os
import sys

import records
from files import name_and_size

try:
    import torch.utils.data
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)

directory, count, size, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])


class Files(torch.utils.data.Dataset):
    def __len__(self):
        return count

    def __getitem__(self, index):
        with open(os.path.join(directory, name_and_size(index, size)[0]), 'rb') as file:
            data = file.read()
        return index, len(data), hashlib.sha256(data).hexdigest()


def digest(index):
    name, length = name_and_size(index, size)
    return length, hashlib.sha256(records.content(name, 1, length)).hexdigest()


wanted = [digest(index) for index in range(count)]
loader = torch.utils.data.DataLoader(Files(), batch_size=16, shuffle=True, num_workers=2, collate_fn=list)
for epoch in range(epochs):
    seen, total, wrong = set(), 0, []
    for batch in loader:
        for index, length, found in batch:
            seen.add(index)
            total += length
            if (length, found) != wanted[index]:
                wrong.append(f'{index}: {length} bytes, {found}')
    print(json.dumps({'epoch': epoch, 'items': len(seen), 'bytes': total, 'wrong': wrong[:10]}), flush=True)

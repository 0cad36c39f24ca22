"""Tiny folders in the layouts of established datasets; the media are empty files."""

import json


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def write(folder, name, *lines):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def ucf101(folder):
    lists = "ucfTrainTestlist"
    write(folder, f"{lists}/classInd.txt", "1 Zumba", "2 Archery")
    for split in (1, 2, 3):
        held_out, other = ("g01", "g02") if split == 1 else ("g02", "g01")
        write(
            folder,
            f"{lists}/trainlist0{split}.txt",
            f"Zumba/v_Zumba_{other}_c01.avi 1",
            f"Archery/v_Archery_{other}_c01.avi 2",
        )
        write(
            folder,
            f"{lists}/testlist0{split}.txt",
            f"Archery/v_Archery_{held_out}_c01.avi",
            f"Zumba/v_Zumba_{held_out}_c01.avi",
        )
    names = [f"{name}_{group}" for name in ("Zumba", "Archery") for group in ("g01",)]
    names += ["Zumba_g02", "Archery_g02"]
    return touch(
        folder, *(f"UCF-101/{name.split('_')[0]}/v_{name}_c01.avi" for name in names)
    )


def hmdb51(folder):
    lists = "testTrainMulti_7030_splits"
    for name in ("wave", "brush_hair"):
        write(
            folder,
            f"{lists}/{name}_test_split1.txt",
            f"same #1 [{name}].avi 1 ",
            "same.avi 2 ",
            "neither.avi 0 ",
        )
        write(folder, f"{lists}/{name}_test_split2.txt", "same.avi 1 ")
        touch(folder, f"{name}/same #1 [{name}].avi", f"{name}/same.avi")
    return folder


def esc50(folder):
    rows = [
        f"{fold}-1-A-{target}.wav,{fold},{target},{name},False,1,A"
        for fold in range(1, 6)
        for target, name in ((1, "cat"), (0, "zebra"))
    ]
    header = "filename,fold,target,category,esc10,src_file,take"
    write(folder, "meta/esc50.csv", header, *rows)
    return touch(folder, *(f"audio/{row.split(',')[0]}" for row in rows))


def youcook2(folder):
    steps = [
        {"id": 0, "segment": [2, 4.5], "sentence": "cut the onion"},
        {"id": 1, "segment": [5, 9], "sentence": "fry it"},
    ]
    database = {
        "GLd3aX16zBg": {"subset": "training", "annotations": steps[:1]},
        "9GX8f5EwwE4": {"subset": "validation", "annotations": steps},
        "gone_______": {"subset": "validation", "annotations": steps},
    }
    name = "youcookii_annotations_trainval.json"
    write(folder, name, json.dumps({"database": database}))
    return touch(
        folder,
        "raw_videos/training/113/GLd3aX16zBg.webm",
        "videos/9GX8f5EwwE4.mkv",
    )


def msrvtt(folder, in_one_file=False):
    splits = {"video0": "train", "video1": "validate", "video2": "test"}
    splits["video3"] = "test"
    info = {
        "videos": [
            {"video_id": video, "split": split, "start time": 137.7}
            for video, split in splits.items()
        ],
        "sentences": [
            {"video_id": video, "sen_id": number, "caption": f"{video} {word}"}
            for number, word in enumerate(("first", "second"))
            for video in splits
        ],
    }
    if in_one_file:
        write(folder, "annotation/MSRVTT_data.json", json.dumps(info))
        return touch(folder, *(f"videos/all/{video}.mp4" for video in splits))
    tests = [video for video in info["videos"] if video["split"] == "test"]
    others = [video for video in info["videos"] if video["split"] != "test"]
    for name, videos in (("train_val", others), ("test", tests)):
        part = info | {"videos": videos}
        write(folder, f"{name}_videodatainfo.json", json.dumps(part))
    touch(folder, *(f"TestVideo/{video['video_id']}.mp4" for video in tests))
    return touch(
        folder, *(f"TrainValVideo/{video['video_id']}.mp4" for video in others)
    )


def kinetics(folder):
    header = "label,youtube_id,time_start,time_end,split"
    write(
        folder,
        "train.csv",
        header,
        "yoga,---QUuC4vJs,84,94,train",
        '"abseiling",-3B32lodo2M,59,69,train',
    )
    write(folder, "val.csv", header, "yoga,0wR5jVB-WPk,417,427,val")
    return touch(
        folder,
        "train/yoga/---QUuC4vJs_000084_000094.mp4",
        "train/abseiling/-3B32lodo2M_000059_000069.mp4",
        "val/0wR5jVB-WPk_000417_000427.mp4",
    )


def audioset(folder, *media):
    write(
        folder,
        "class_labels_indices.csv",
        "index,mid,display_name",
        '0,/m/09x0r,"Speech"',
        '1,/m/05zppz,"Male speech, man speaking"',
        "2,/t/dd00088,Gargling",
    )
    write(
        folder,
        "eval_segments.csv",
        "# Segments csv created Sun Mar  5 10:54:25 2017",
        "# num_ytids=3, num_segs=3, num_unique_labels=3",
        "# YTID, start_seconds, end_seconds, positive_labels",
        '--4gqARaEJE, 0.000, 10.000, "/m/05zppz,/m/09x0r"',
        '--BfvyPmVMo, 20.000, 30.000, "/t/dd00088"',
        'Y0NGSrwioYjA, 30.500, 40.500, "/m/09x0r"',
    )
    return touch(folder, *media)


def moments_in_time(folder):
    write(folder, "moments_categories.txt", "yawning,0", "aiming,1")
    write(folder, "trainingSet.csv", "aiming/yt-1_2.mp4,aiming,3,0")
    write(folder, "validationSet.csv", "yt-3_4.mp4,yawning,3,0")
    return touch(folder, "training/aiming/yt-1_2.mp4", "validation/yawning/yt-3_4.mp4")

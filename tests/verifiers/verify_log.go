// Command verify_log verifies a log of Sekimori with Go's own implementation of transparency logs:
//
//	verify_log LOG KEYS [ANCHOR...]
//
// LOG is the folder, KEYS the file of verifier keys kept elsewhere, each ANCHOR an older checkpoint kept elsewhere. It
// knows notes, tiles and trees; of sessions and of changes of keys it knows nothing. Exit status 0 if all agrees, 1 if not.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	words, err := verify(os.Args[1], os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Println("ALTERED:", err)
		os.Exit(1)
	}
	fmt.Println("INTACT:", words)
}

func verify(log, keysFile string, anchors []string) (string, error) {
	keys, err := readKeys(keysFile)
	if err != nil {
		return "", err
	}
	tree, err := readCheckpoint(filepath.Join(log, "checkpoint"), keys)
	if err != nil {
		return "", err
	}
	// The reader checks every tile that it reads against the root of the checkpoint.
	hashes := tlog.TileHashReader(tree, tiles{log})
	for first := int64(0); first < tree.N; first += 256 {
		if err := checkEntries(log, first, tree.N, hashes); err != nil {
			return "", err
		}
	}
	for _, path := range anchors {
		then, err := readCheckpoint(path, keys)
		if err != nil {
			return "", err
		}
		if then.N > tree.N {
			return "", fmt.Errorf("%s: the log had %d entries and has %d", path, then.N, tree.N)
		}
		if then.N == 0 {
			continue
		}
		proof, err := tlog.ProveTree(tree.N, then.N, hashes)
		if err != nil {
			return "", err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, then.N, then.Hash); err != nil {
			return "", fmt.Errorf("%s: %v", path, err)
		}
	}
	return fmt.Sprintf("%d entries, %d anchors", tree.N, len(anchors)), nil
}

func readKeys(path string) (note.Verifiers, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var verifiers []note.Verifier
	for _, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		parts := strings.SplitN(line, "+", 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("%q is no verifier key", line)
		}
		// Witnesses' keys (type 4) are not of this package's kind.
		if material, err := base64.StdEncoding.DecodeString(parts[2]); err == nil && material[0] == 4 {
			continue
		}
		verifier, err := note.NewVerifier(line)
		if err != nil {
			return nil, err
		}
		verifiers = append(verifiers, verifier)
	}
	return note.VerifierList(verifiers...), nil
}

func readCheckpoint(path string, keys note.Verifiers) (tlog.Tree, error) {
	var tree tlog.Tree
	text, err := os.ReadFile(path)
	if err != nil {
		return tree, err
	}
	signed, err := note.Open(text, keys)
	if err != nil {
		return tree, fmt.Errorf("%s: %v", path, err)
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != signed.Sigs[0].Name {
		return tree, fmt.Errorf("%s is no checkpoint of this log", path)
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

func checkEntries(log string, first, size int64, hashes tlog.HashReader) error {
	width := size - first
	if width > 256 {
		width = 256
	}
	// Go's name for bundles is another; the numbering is the same.
	path := tlog.Tile{H: 8, L: 0, N: first / 256, W: int(width)}.Path()
	bundle, err := os.ReadFile(filepath.Join(log, strings.Replace(path, "tile/8/0/", "tile/entries/", 1)))
	swept := os.IsNotExist(err) && width < 256
	if swept {
		// A part that was swept when the whole was full is the beginning of the whole.
		path = tlog.Tile{H: 8, L: 0, N: first / 256, W: 256}.Path()
		bundle, err = os.ReadFile(filepath.Join(log, strings.Replace(path, "tile/8/0/", "tile/entries/", 1)))
	}
	if err != nil {
		return err
	}
	indexes := make([]int64, width)
	for at := range indexes {
		indexes[at] = tlog.StoredHashIndex(0, first+int64(at))
	}
	sealed, err := hashes.ReadHashes(indexes)
	if err != nil {
		return err
	}
	for at, hash := range sealed {
		if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
			return fmt.Errorf("the bundle of entry %d is cut short", first+int64(at))
		}
		length := 2 + int(binary.BigEndian.Uint16(bundle))
		if tlog.RecordHash(bundle[2:length]) != hash {
			return fmt.Errorf("entry %d is not the one that was sealed", first+int64(at))
		}
		bundle = bundle[length:]
	}
	if len(bundle) > 0 && !swept {
		return fmt.Errorf("the bundle at entry %d holds more than it should", first)
	}
	return nil
}

// tiles reads the files of a folder under the names of C2SP tlog-tiles, which leave out the height that Go names.
type tiles struct{ log string }

func (tiles) Height() int { return 8 }

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(t.log, strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if os.IsNotExist(err) && tile.W < 256 {
			// A part may be gone when the full tile is there.
			full := tile
			full.W = 256
			data, err = os.ReadFile(filepath.Join(t.log, strings.Replace(full.Path(), "tile/8/", "tile/", 1)))
			if len(data) > tile.W*tlog.HashSize {
				data = data[:tile.W*tlog.HashSize]
			}
		}
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

"""What several tests share: networks, pictures, bundles, results and servers made for them."""
